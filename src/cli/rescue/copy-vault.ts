import { formatBytes } from '../../kernel/bytes.ts';
import { Fault } from '../../kernel/fault.ts';
import { estimateCopy } from '../../vault/copy/copy-estimate.ts';
import { CopyPruning } from '../../vault/copy/copy-prune.ts';
import { VaultCopy, type CopyPlan, type CopyReport } from '../../vault/copy/vault-copy.ts';
import { type ObjectStore } from '../../vault/object-store.ts';
import { Vault } from '../../vault/vault.ts';
import { type Spending } from '../../vault/budget/spending.ts';
import { parseBytes } from '../amounts.ts';
import { type Cli, type CommonOptions } from '../cli.ts';
import { type Outcome } from '../outcome.ts';
import { count, formatDuration, formatRate } from '../quantities.ts';
import { costText, openSpending, withSpending, type SpendingOptions } from './spending-options.ts';
import { openOptions, openStore, unlock } from './vault-access.ts';

export interface CopyOptions extends CommonOptions, SpendingOptions {
  readonly from: string;
  readonly to: string;
  readonly fromEndpoint?: string;
  readonly fromRegion?: string;
  readonly fromProfile?: string;
  readonly toEndpoint?: string;
  readonly toRegion?: string;
  readonly toProfile?: string;
  readonly limitRate?: string;
  readonly readBack?: boolean;
  readonly prune?: boolean;
  readonly recoveryFile?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly singleWriter?: boolean;
}

const DAMAGED_SHOWN = 10;

/**
 * Makes or refreshes a copy of a vault at another place. No passphrase is needed or asked for.
 *
 * @throws Fault `copy.damaged` after everything was copied, when some of it does not match its checksums
 */
export async function copyVault(cli: Cli, options: CopyOptions): Promise<Outcome> {
  const { clock } = cli.environment;
  const spending = await openSpending(cli, options);
  const startMs = clock.monotonicMs();
  await using resources = new AsyncDisposableStack();
  const source = resources.adopt(
    await openStore(cli, placeOf('from', options), spending),
    (opened) => opened.close(),
  );
  const target = resources.adopt(await openStore(cli, placeOf('to', options), spending), (opened) =>
    opened.close(),
  );
  const { limitRate, readBack = false } = options;
  const copy = new VaultCopy({
    source,
    target,
    clock,
    readBack,
    ...(limitRate === undefined ? {} : { bytesPerSecond: parseBytes('--limit-rate', limitRate) }),
  });
  using meter = cli.meter();
  const running = { signal: cli.signal, report: meter.report };
  if (options.dryRun === true) {
    const outcome = planned(await copy.plan(running), options, spending);
    return options.prune === true
      ? await pruned(cli, options, { source, target, outcome })
      : outcome;
  }
  const report = await copy.run(running);
  requireWhole(report);
  const outcome = done(report, options, clock.monotonicMs() - startMs);
  const both =
    options.prune === true ? await pruned(cli, options, { source, target, outcome }) : outcome;
  return withSpending(both, spending);
}

/** Removes from the copy what the source has removed; asks first, and with `--dry-run` only says what it would be. */
async function pruned(
  cli: Cli,
  options: CopyOptions,
  { source, target, outcome }: { source: ObjectStore; target: ObjectStore; outcome: Outcome },
): Promise<Outcome> {
  const { signal } = cli;
  await using resources = new AsyncDisposableStack();
  const unlocked = await unlock(cli, { ...options, vault: options.to });
  const vault = resources.adopt(
    await Vault.open(target, unlocked, openOptions(cli), signal),
    (opened) => opened.close(),
  );
  using meter = cli.meter();
  const pruning = new CopyPruning(source, vault.inside, { signal, report: meter.report });
  const plan = await pruning.plan();
  const { points, packs, bytes, keptPacks } = plan;
  const what = `${count(points.length, 'recovery point')} that were given up and ${count(packs.length, 'pack')}, ${formatBytes(bytes)}`;
  const kept =
    keptPacks === 0
      ? ''
      : `  ${count(keptPacks, 'pack')} that the source no longer has may still be needed in the copy; kept\n`;
  const isDry = options.dryRun === true;
  const isNothing = points.length + packs.length === 0;
  if (!isDry && !isNothing) {
    await cli.confirm(`Remove ${what} from ${options.to}?`, options);
    await pruning.run(plan);
  }
  const verb = isDry ? 'Would remove' : 'Removed';
  return {
    document: { ...(outcome.document as object), prune: plan },
    text: `${outcome.text}${verb} ${isNothing ? 'nothing' : what} from the copy.\n${kept}`,
  };
}

function placeOf(side: 'from' | 'to', options: CopyOptions): Parameters<typeof openStore>[1] {
  const endpoint = options[`${side}Endpoint`];
  const region = options[`${side}Region`];
  const profile = options[`${side}Profile`];
  return {
    vault: options[side],
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(profile === undefined ? {} : { profile }),
    ...(options.singleWriter === true ? { singleWriter: true } : {}),
  };
}

function planned(plan: CopyPlan, options: CopyOptions, spending: Spending): Outcome {
  const estimate = estimateCopy(plan, options);
  const [from, to] = spending.report.stores;
  const costs = [
    from && spending.costOf(estimate.source, from.location),
    to && spending.costOf(estimate.target, to.location),
  ].filter((cost) => cost !== undefined);
  const { missing, present, points, pointsBeyond } = plan;
  return {
    document: { dryRun: true, ...plan, estimate, costs },
    text: [
      `Would copy ${count(missing.objects, 'object')}, ${formatBytes(missing.bytes)}, with ${count(points, 'recovery point')} that the copy does not have; ${formatBytes(present.bytes)} are there.\n`,
      beyondText(pointsBeyond),
      `  about ${String(estimate.source.gets)} GET and ${String(estimate.source.lists)} LIST at the source, ${String(estimate.target.puts)} PUT and ${String(estimate.target.lists)} LIST at the copy\n`,
      ...costs.map((cost) => `  about ${costText(cost)}\n`),
    ].join(''),
  };
}

function requireWhole({ damaged }: CopyReport): void {
  if (damaged.length > 0) {
    const named = damaged.slice(0, DAMAGED_SHOWN).join(', ');
    const more = damaged.length > DAMAGED_SHOWN ? ', …' : '';
    throw new Fault(
      'copy.damaged',
      `Everything was copied, but ${count(damaged.length, 'object')} of the source or the copy is not what was written: ${named}${more}. Verify both.`,
      { damaged: damaged.length },
    );
  }
}

function done(report: CopyReport, { to }: CopyOptions, durationMs: number): Outcome {
  const { sent, points, pointsBeyond } = report;
  const rate = formatRate((sent.bytes * 1000) / Math.max(1, durationMs));
  return {
    document: { copy: report, durationMs },
    text: [
      `${to} holds ${count(points, 'recovery point')} of the source: ${count(sent.objects, 'object')}, ${formatBytes(sent.bytes)} sent in ${formatDuration(durationMs)} (${rate}).\n`,
      beyondText(pointsBeyond),
    ].join(''),
  };
}

function beyondText(points: number): string {
  return points === 0
    ? ''
    : `  ${count(points, 'recovery point')} of the copy ${points === 1 ? 'is' : 'are'} not in the source, which never had or no longer has ${points === 1 ? 'it' : 'them'}; kept\n`;
}
