import { Fault, integrityOrThrow } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { folderOfVault } from '../packs/footer-cache.ts';
import { OptionalFolder } from '../../kernel/files/optional-folder.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import { findSuspects } from './suspects.ts';
import { SlotSet } from '../slots/slot-set.ts';
import type { VaultInside } from '../vault-inside.ts';
import type { Running } from '../../kernel/progress.ts';
import { DamagedSlots } from '../damage/damaged-slots.ts';
import { lastProven, type LastProven } from './last-proven.ts';
import { FolderProofLedger, MemoryProofLedger, type ProofLedger } from './proof-ledger.ts';
import { scrub, type ScrubOptions, type ScrubReport } from './scrub.ts';

/** What a scrub found, and which packs that points need are gone. */
export interface VaultScrub {
  readonly report: ScrubReport;
  readonly missing: number;
}

export type PointProven = LastProven & { readonly pointId: string; readonly vmName: string };

/** Opens the ledger of this machine for an open vault. */
export function ledgerOf({ cache }: Pick<VaultInside, 'cache'>): ProofLedger {
  return cache === undefined ? new MemoryProofLedger() : new FolderProofLedger(cache.folder);
}

/**
 * Opens the ledger of this machine for a vault that it cannot open.
 * @param vaultsFolder folder of all vaults in its cache
 */
export function ledgerWithoutKey(
  vaultsFolder: string,
  { vaultId, place }: { readonly vaultId: string; readonly place: string },
  log: Log,
): FolderProofLedger {
  const folder = folderOfVault(vaultsFolder, `${vaultId}-crc`, place);
  return new FolderProofLedger(new OptionalFolder(folder, log));
}

/**
 * Looks for packs that are gone, then reads a share of the vault. Writes what is lost to the vault.
 */
export async function scrubVault(
  inside: VaultInside,
  options: Pick<ScrubOptions, 'ledger' | 'budget' | 'depth'>,
  running: Running,
): Promise<VaultScrub> {
  const damaged = new DamagedSlots(inside.base, inside.log);
  const { missing } = await findSuspects(inside, { damaged }, running.signal);
  const lost = new SlotSet();
  for (const { ulid } of missing) {
    lost.add(ulid, 'all');
  }
  const report = await scrub(inside, { ...options, lost }, running);
  return { report, missing: missing.length };
}

/** Returns for each point how far scrubs have proven it, and when. */
export async function provenPoints(
  inside: VaultInside,
  points: readonly RecoveryPoint[],
  ledger: ProofLedger,
  signal: AbortSignal,
): Promise<PointProven[]> {
  const known = await ledger.load();
  const found: PointProven[] = [];
  for (const point of points) {
    const proven = await provenOf(inside, point, known, signal);
    found.push({ pointId: point.id, vmName: point.vmName, ...proven });
  }
  return found;
}

async function provenOf(
  inside: VaultInside,
  point: RecoveryPoint,
  known: Awaited<ReturnType<ProofLedger['load']>>,
  signal: AbortSignal,
): Promise<LastProven> {
  try {
    return await lastProven(inside, point, known, signal);
  } catch (error) {
    integrityOrThrow(error);
    // The map cannot be read whole, so what the point needs is not known and nothing is proven.
    return { packs: 0, proven: 0, damaged: 1 };
  }
}

/** Returns the packs that earlier scrubs of this machine found damaged. */
export async function damagedPacks(ledger: ProofLedger): Promise<string[]> {
  const proofs = await ledger.load();
  return [...proofs.values()].filter(({ damage }) => damage !== undefined).map(({ key }) => key);
}

/** Returns the fault for a scrub that found damage; undefined if all was whole. */
export function scrubFault({ report, missing }: VaultScrub): Fault | undefined {
  const { damaged, damagedObjects, packs, list } = report;
  if (damaged.length + damagedObjects.length + missing === 0) {
    return undefined;
  }
  return new Fault(
    'vault.damage-found',
    `${amount(damaged.length, 'damaged pack')}, ${amount(missing, 'missing pack')} and ${amount(damagedObjects.length, 'other damaged object')} among ${amount(packs, 'pack')} checked${list === undefined ? '' : `; written down in ${list}`}.`,
    { damaged: damaged.length, missing, damagedObjects: damagedObjects.length },
  );
}

function amount(number: number, what: string): string {
  return `${String(number)} ${what}${number === 1 ? '' : 's'}`;
}
