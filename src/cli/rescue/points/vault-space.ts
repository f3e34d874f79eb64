import { collectVault } from '../../../vault/collect/collector.ts';
import { measureVault } from '../../../vault/collect/plans/point-usage.ts';
import { estimatePrune } from '../../../vault/collect/plans/prune-estimate.ts';
import { planPrune } from '../../../vault/collect/plans/prune-plan.ts';
import type { Cli } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { pruneRules, type PruneRuleOptions } from '../../options/prune-rules.ts';
import { prunePlanText, pruneReportText } from '../../vault-text/prune-text.ts';
import { usageText } from '../../vault-text/usage-text.ts';
import { withSpending } from '../spending-options.ts';
import { withVault, type VaultKey } from '../vault-access.ts';

export interface PruneOptions extends VaultKey, PruneRuleOptions {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** Frees the space of retired points. */
export async function prune(cli: Cli, options: PruneOptions): Promise<Outcome> {
  const rules = pruneRules(options);
  return await withVault(cli, options, async (vault, spending) => {
    using meter = cli.meter();
    const { base } = vault.inside;
    const running = { signal: cli.signal, report: meter.report };
    const plan = await planPrune(vault.inside, [], rules, running);
    const cost = spending.costOf(estimatePrune(plan), base.store.location);
    const time = (timeMs: number): string => cli.time(timeMs);
    const text = prunePlanText(plan, cost, time);
    const planned = cost === undefined ? { plan } : { plan, cost };
    if (options.dryRun === true || plan.waitsUntilMs !== undefined) {
      return withSpending({ document: planned, text: `${text}Nothing was changed.\n` }, spending);
    }
    cli.sayLines(text);
    await cli.confirm('Remove what no recovery point needs?', options);
    const report = await collectVault(vault.inside, rules, running);
    const document = { ...planned, report };
    return withSpending({ document, text: pruneReportText(report, time) }, spending);
  });
}

/** Shows what recovery points take, what they would free, and how fast the vault grows. */
export async function usage(cli: Cli, options: VaultKey): Promise<Outcome> {
  return await withVault(cli, options, async (vault, spending) => {
    using meter = cli.meter();
    const running = { signal: cli.signal, report: meter.report };
    const measured = await measureVault(vault.inside, running);
    const text = usageText(measured, (timeMs) => cli.time(timeMs));
    return withSpending({ document: measured, text }, spending);
  });
}
