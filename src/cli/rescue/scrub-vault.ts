import { join } from 'node:path';
import { formatBytes } from '../../kernel/bytes.ts';
import { Fault } from '../../kernel/fault.ts';
import { folderOfVault } from '../../vault/footer-cache.ts';
import { vaultIdAt } from '../../vault/unlock.ts';
import { DamagedSlots } from '../../vault/proof/damaged-slots.ts';
import { lastProven, type LastProven } from '../../vault/proof/last-proven.ts';
import { FolderProofLedger } from '../../vault/proof/proof-ledger.ts';
import { type ScrubBudget } from '../../vault/proof/scrub-queue.ts';
import { scrub, scrubWithoutKey, type ScrubReport } from '../../vault/proof/scrub.ts';
import { findSuspects } from '../../vault/repair/suspects.ts';
import { SlotSet } from '../../vault/slot-set.ts';
import { type Vault } from '../../vault/vault.ts';
import { parseBytes } from '../amounts.ts';
import { type Cli } from '../cli.ts';
import { type Outcome } from '../outcome.ts';
import { plainText } from '../plain-text.ts';
import { count } from '../quantities.ts';
import { openStore, withVault, type VaultKey } from './vault-access.ts';

export interface ScrubCommandOptions extends VaultKey {
  readonly budget?: string;
  readonly all?: boolean;
  readonly depth: 'frames' | 'ids';
  readonly withoutKey?: boolean;
  readonly points?: boolean;
}

const PACKS_SHOWN = 20;

const PROVED = {
  crc: 'their checksums',
  frames: 'every frame decrypted',
  ids: 'every frame decrypted, every chunk id computed',
} as const;

/**
 * Reads a share of the vault and proves it. Damage is written down in the vault.
 *
 * @throws Fault `vault.damage-found` after the whole share was read
 */
export async function scrubVault(cli: Cli, options: ScrubCommandOptions): Promise<Outcome> {
  if (options.withoutKey === true) {
    return await withoutKey(cli, options);
  }
  return await withVault(cli, options, async (vault) => {
    const { inside } = vault;
    const ledger = await ledgerOf(cli, vault.id, inside.base.store.identity);
    const damaged = new DamagedSlots(inside.base, inside.log);
    const { missing } = await findSuspects(inside, { damaged }, cli.signal);
    const lost = new SlotSet();
    for (const { ulid } of missing) {
      lost.add(ulid, 'all');
    }
    using meter = cli.meter();
    const running = { signal: cli.signal, report: meter.report.bind(meter) };
    const { depth } = options;
    const report = await scrub(inside, { ledger, depth, lost, ...budgetOf(options) }, running);
    const points = options.points === true ? await proofs(cli, vault, ledger) : [];
    requireWhole(cli, report, missing.length);
    return outcome(cli, report, points);
  });
}

async function withoutKey(cli: Cli, options: ScrubCommandOptions): Promise<Outcome> {
  await using resources = new AsyncDisposableStack();
  const store = resources.adopt(await openStore(cli, options), (opened) => opened.close());
  const vaultId = await vaultIdAt(store, cli.signal);
  const ledger = await ledgerOf(cli, `${vaultId}-crc`, store.identity);
  using meter = cli.meter();
  const running = { signal: cli.signal, report: meter.report.bind(meter) };
  const { clock } = cli.environment;
  const report = await scrubWithoutKey(store, { ledger, clock, ...budgetOf(options) }, running);
  requireWhole(cli, report, 0);
  return outcome(cli, report, []);
}

async function ledgerOf(cli: Cli, vaultId: string, place: string): Promise<FolderProofLedger> {
  const folder = folderOfVault(join(cli.environment.cacheFolder, 'vaults'), vaultId, place);
  return await FolderProofLedger.open(folder);
}

function budgetOf({ budget, all }: ScrubCommandOptions): { budget?: ScrubBudget } {
  if (all === true) {
    return { budget: {} };
  }
  return budget === undefined ? {} : { budget: { bytes: parseBytes('--budget', budget) } };
}

type PointProof = LastProven & { readonly pointId: string; readonly vmName: string };

async function proofs(cli: Cli, vault: Vault, ledger: FolderProofLedger): Promise<PointProof[]> {
  const known = await ledger.load();
  const found: PointProof[] = [];
  for (const point of await vault.points(cli.signal)) {
    const proven = await lastProven(vault.inside, point, known, cli.signal);
    found.push({ pointId: point.id, vmName: point.vmName, ...proven });
  }
  return found;
}

function requireWhole(cli: Cli, report: ScrubReport, missing: number): void {
  const { damaged, damagedObjects } = report;
  if (damaged.length + damagedObjects.length + missing === 0) {
    return;
  }
  for (const { key, why, lostSlots } of damaged.slice(0, PACKS_SHOWN)) {
    const lost =
      lostSlots === 0 ? 'whole in another generation' : `${String(lostSlots)} slots lost`;
    cli.say(`${key}: ${why.join(' ')} (${lost})`);
  }
  for (const key of damagedObjects.slice(0, PACKS_SHOWN)) {
    cli.say(`${key} is not what a holder of the key wrote.`);
  }
  throw new Fault(
    'vault.damage-found',
    `${count(damaged.length, 'damaged pack')}, ${count(missing, 'missing pack')} and ${count(damagedObjects.length, 'other damaged object')} among ${count(report.packs, 'pack')} checked${report.list === undefined ? '' : `; written down in ${report.list}`}.`,
    { damaged: damaged.length, missing, damagedObjects: damagedObjects.length },
  );
}

function outcome(cli: Cli, report: ScrubReport, points: readonly PointProof[]): Outcome {
  const { packs, bytes, totalPacks, totalBytes, depth } = report;
  return {
    document: { scrub: report, points },
    text: [
      `${String(packs)} of ${count(totalPacks, 'pack')} whole (${PROVED[depth]}): ${formatBytes(bytes)} of ${formatBytes(totalBytes)} read, least recently checked first.\n`,
      ...points.map(
        (point) => `${point.pointId} of ${plainText(point.vmName)}: ${proofText(cli, point)}\n`,
      ),
    ].join(''),
  };
}

function proofText(cli: Cli, { oldestMs, proven, packs, damaged }: LastProven): string {
  if (oldestMs !== undefined) {
    return `last proven ${cli.time(oldestMs)}`;
  }
  return damaged > 0
    ? `${count(damaged, 'pack')} found damaged`
    : `${String(proven)} of ${count(packs, 'pack')} proven so far`;
}
