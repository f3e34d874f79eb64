import { join } from 'node:path';
import { formatBytes } from '../../kernel/bytes.ts';
import { folderOfVault } from '../../vault/footer-cache.ts';
import { type ObjectStore } from '../../vault/object-store.ts';
import { FolderProofLedger } from '../../vault/proof/proof-ledger.ts';
import { isAccessDamage, repairAccess } from '../../vault/repair/access-repair.ts';
import { type ObjectRepair } from '../../vault/repair/object-repair.ts';
import { type PackRepair } from '../../vault/repair/pack-repair.ts';
import { repairVault as repair, type RepairReport } from '../../vault/repair/repair.ts';
import { Vault } from '../../vault/vault.ts';
import { type Cli } from '../cli.ts';
import { type Outcome } from '../outcome.ts';
import { count } from '../quantities.ts';
import { openOptions, openStore, unlock, type VaultKey } from './vault-access.ts';

export interface RepairCommandOptions extends VaultKey {
  readonly copy?: string;
  readonly copyEndpoint?: string;
  readonly copyRegion?: string;
  readonly copyProfile?: string;
  readonly overwrite?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

const SHOWN = 50;

/** Mends a vault: first says what it would do, then asks, then does it. */
export async function repairVault(cli: Cli, options: RepairCommandOptions): Promise<Outcome> {
  const { signal } = cli;
  await using resources = new AsyncDisposableStack();
  const store = resources.adopt(await openStore(cli, options), (opened) => opened.close());
  const copy =
    options.copy === undefined
      ? undefined
      : resources.adopt(await openStore(cli, placeOfCopy(options.copy, options)), (opened) =>
          opened.close(),
        );
  const key = await unlock(cli, options);
  const open = async (): Promise<Vault> => Vault.open(store, key, openOptions(cli), signal);
  let access: ObjectRepair[] = [];
  let vault: Vault;
  try {
    vault = await open();
  } catch (error) {
    if (copy === undefined || !isAccessDamage(error)) {
      throw error;
    }
    const parts = { store, copy, unlock: key };
    const rules = { overwrite: options.overwrite === true };
    access = await repairAccess(parts, { ...rules, apply: false }, signal);
    cli.sayLines(access.map(objectText).join(''));
    if (options.dryRun === true) {
      return {
        document: { dryRun: true, access },
        text: 'More is known when the vault opens again.\n',
      };
    }
    await cli.confirm('Make the vault openable again?', options);
    await repairAccess(parts, { ...rules, apply: true }, signal);
    vault = await open();
  }
  resources.adopt(vault, (opened) => opened.close());
  return await mend(cli, options, { vault, access, ...(copy === undefined ? {} : { copy }) });
}

interface Opened {
  readonly vault: Vault;
  readonly copy?: ObjectStore;
  readonly access: readonly ObjectRepair[];
}

async function mend(
  cli: Cli,
  options: RepairCommandOptions,
  { vault, copy, access }: Opened,
): Promise<Outcome> {
  const suspects = await suspectsOf(cli, vault);
  using meter = cli.meter();
  const running = { signal: cli.signal, report: meter.report.bind(meter) };
  const rules = {
    suspects,
    overwrite: options.overwrite === true,
    ...(copy === undefined ? {} : { copy }),
  };
  const plan = await repair(vault.inside, { ...rules, dryRun: true }, running);
  const works = plan.packs.some(({ key }) => key !== undefined) || plan.objects.some(isWritten);
  if (options.dryRun === true || !works) {
    return { document: { ...plan, access }, text: reportText(plan, 'would be') };
  }
  cli.sayLines(reportText(plan, 'would be'));
  await cli.confirm(`Write ${formatBytes(plan.writtenBytes)}?`, options);
  const report = await repair(vault.inside, { ...rules, dryRun: false }, running);
  return { document: { ...report, access }, text: reportText(report, 'was') };
}

/** What earlier scrubs of this machine found. */
async function suspectsOf(cli: Cli, vault: Vault): Promise<string[]> {
  const { cacheFolder } = cli.environment;
  const place = vault.inside.base.store.identity;
  const folder = folderOfVault(join(cacheFolder, 'vaults'), vault.id, place);
  const proofs = await (await FolderProofLedger.open(folder)).load();
  return [...proofs.values()].filter(({ damage }) => damage !== undefined).map(({ key }) => key);
}

function placeOfCopy(copy: string, options: RepairCommandOptions): Parameters<typeof openStore>[1] {
  const { copyEndpoint, copyRegion, copyProfile } = options;
  return {
    vault: copy,
    ...(copyEndpoint === undefined ? {} : { endpoint: copyEndpoint }),
    ...(copyRegion === undefined ? {} : { region: copyRegion }),
    ...(copyProfile === undefined ? {} : { profile: copyProfile }),
  };
}

function isWritten({ outcome }: ObjectRepair): boolean {
  return outcome !== 'left';
}

function reportText(report: RepairReport, verb: 'would be' | 'was'): string {
  const { objects, packs, unreadablePoints, writtenBytes } = report;
  if (objects.length + packs.length + unreadablePoints.length === 0) {
    return 'Nothing is known to be damaged or missing. To look for damage: hyperkeep rescue scrub\n';
  }
  return [
    ...objects.slice(0, SHOWN).map(objectText),
    ...packs.slice(0, SHOWN).map(packText),
    ...unreadablePoints.map((id) => `The map of ${id} cannot be read whole.\n`),
    `${formatBytes(writtenBytes)} ${verb} written; ${count(packs.filter(({ outcome }) => outcome === 'lost').length, 'pack')} not whole.\n`,
  ].join('');
}

function objectText({ key, was, outcome, why }: ObjectRepair): string {
  return `${key}: ${was}, ${outcome}${why === undefined ? '' : ` (${why})`}\n`;
}

function packText({ pack, outcome, healedSlots, lostSlots, bytes }: PackRepair): string {
  const written = bytes > 0 ? `, ${formatBytes(bytes)}` : '';
  return `pack ${pack}: ${outcome}, ${String(healedSlots)} slots healed, ${String(lostSlots)} lost${written}\n`;
}
