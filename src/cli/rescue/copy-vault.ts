import { copyFault, estimateCopy } from '../../vault/copy/copy-estimate.ts';
import { CopyPruning } from '../../vault/copy/copy-prune.ts';
import type { CopyPlan, CopyReport } from '../../vault/copy/copy-report.ts';
import { VaultCopy } from '../../vault/copy/vault-copy.ts';
import type { ObjectStore } from '../../vault/store/object-store.ts';
import { Vault } from '../../vault/vault.ts';
import type { Spending } from '../../vault/budget/spending.ts';
import { rateLimitsOf, type RateOptions } from '../options/rate-option.ts';
import { pruneRules } from '../options/prune-rules.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import type { Outcome } from '../outcome.ts';
import {
  copyPlanText,
  copyPrunedText,
  copyPruneText,
  copyReportText,
} from '../vault-text/copy-text.ts';
import { openSpending, withSpending, type SpendingOptions } from './spending-options.ts';
import { openOptions, openStore, unlock } from './vault-access.ts';

export interface CopyOptions extends CommonOptions, SpendingOptions, RateOptions {
  readonly from: string;
  readonly to: string;
  readonly fromEndpoint?: string;
  readonly fromRegion?: string;
  readonly fromProfile?: string;
  readonly toEndpoint?: string;
  readonly toRegion?: string;
  readonly toProfile?: string;
  readonly readBack?: boolean;
  readonly prune?: boolean;
  readonly thesePointsAreGone?: readonly string[];
  readonly theseObjectsAreGone?: readonly string[];
  readonly recoveryFile?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly singleWriter?: boolean;
}

/**
 * Makes or refreshes a copy of a vault at another place, without a passphrase.
 *
 * @throws Fault `copy.damaged` after everything was copied, if some of it does not match its
 *   checksums
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
  const { readBack = false } = options;
  const copy = new VaultCopy({
    source,
    target,
    clock,
    readBack,
    ...rateLimitsOf(options),
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
  const fault = copyFault(report);
  if (fault !== undefined) {
    throw fault;
  }
  const outcome = done(report, options, clock.monotonicMs() - startMs);
  const both =
    options.prune === true ? await pruned(cli, options, { source, target, outcome }) : outcome;
  return withSpending(both, spending);
}

/**
 * Removes from the copy what the source has removed. Asks first; with `--dry-run` only says what it
 * would remove.
 */
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
  const running = { signal, report: meter.report };
  const pruning = new CopyPruning(source, vault.inside, running, pruneRules(options));
  const plan = await pruning.plan();
  const { points, packs, bytes, keptPacks } = plan;
  const amount = { points: points.length, packs: packs.length, bytes, keptPacks };
  const isDry = options.dryRun === true;
  if (!isDry && points.length + packs.length > 0) {
    await cli.confirm(`Remove ${copyPruneText(amount)} from ${options.to}?`, options);
    await pruning.run(plan);
  }
  return {
    document: { ...(outcome.document as object), prune: plan },
    text: outcome.text + copyPrunedText(isDry ? 'Would remove' : 'Removed', amount),
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
  const { limitRate, readBack = false } = options;
  const estimate = estimateCopy(plan, { isLimited: limitRate !== undefined, readBack });
  const [from, to] = spending.report.stores;
  const costs = [
    from && spending.costOf(estimate.source, from.location),
    to && spending.costOf(estimate.target, to.location),
  ].filter((cost) => cost !== undefined);
  return {
    document: { dryRun: true, ...plan, estimate, costs },
    text: copyPlanText(plan, estimate, costs),
  };
}

function done(report: CopyReport, { to }: CopyOptions, durationMs: number): Outcome {
  return {
    document: { copy: report, durationMs },
    text: copyReportText(to, report, durationMs),
  };
}
