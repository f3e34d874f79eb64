import { formatBytes } from '../../../kernel/text/bytes.ts';
import type { Spending } from '../../../vault/budget/spending.ts';
import type { ObjectStore } from '../../../vault/store/object-store.ts';
import { damagedPacks, ledgerOf } from '../../../vault/checks/scrub-vault.ts';
import { isAccessDamage, repairAccess } from '../../../vault/repair/access-repair.ts';
import type { ObjectRepair } from '../../../vault/repair/object-repair.ts';
import { repairVault as repair } from '../../../vault/repair/repair.ts';
import { Vault } from '../../../vault/vault.ts';
import type { Cli } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { isWorthRepairing, objectRepairsText, repairText } from '../../vault-text/repair-text.ts';
import { openSpending, withSpending } from '../spending-options.ts';
import { openOptions, openStore, unlock, type VaultKey } from '../vault-access.ts';

export interface RepairCommandOptions extends VaultKey {
  readonly copy?: string;
  readonly copyEndpoint?: string;
  readonly copyRegion?: string;
  readonly copyProfile?: string;
  readonly overwrite?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

const SCRUB = 'hyperkeep rescue scrub';

/** Mends a vault: says what it would do, asks, and then does it. */
export async function repairVault(cli: Cli, options: RepairCommandOptions): Promise<Outcome> {
  const { signal } = cli;
  await using resources = new AsyncDisposableStack();
  const spending = await openSpending(cli, options);
  const store = resources.adopt(await openStore(cli, options, spending), (opened) =>
    opened.close(),
  );
  const copy =
    options.copy === undefined
      ? undefined
      : resources.adopt(
          await openStore(cli, placeOfCopy(options.copy, options), spending),
          (opened) => opened.close(),
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
    cli.sayLines(objectRepairsText(access));
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
  return await mend(cli, options, {
    vault,
    access,
    spending,
    ...(copy === undefined ? {} : { copy }),
  });
}

interface Opened {
  readonly vault: Vault;
  readonly copy?: ObjectStore;
  readonly access: readonly ObjectRepair[];
  readonly spending: Spending;
}

async function mend(
  cli: Cli,
  options: RepairCommandOptions,
  { vault, copy, access, spending }: Opened,
): Promise<Outcome> {
  const suspects = await damagedPacks(ledgerOf(vault.inside));
  using meter = cli.meter();
  const running = { signal: cli.signal, report: meter.report };
  const rules = {
    suspects,
    overwrite: options.overwrite === true,
    ...(copy === undefined ? {} : { copy }),
  };
  const plan = await repair(vault.inside, { ...rules, dryRun: true }, running);
  const planned = repairText(plan, 'would be', SCRUB);
  if (options.dryRun === true || !isWorthRepairing(plan)) {
    return withSpending({ document: { ...plan, access }, text: planned }, spending);
  }
  cli.sayLines(planned);
  await cli.confirm(`Write ${formatBytes(plan.writtenBytes)}?`, options);
  const report = await repair(vault.inside, { ...rules, dryRun: false }, running);
  const text = repairText(report, 'was', SCRUB);
  return withSpending({ document: { ...report, access }, text }, spending);
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
