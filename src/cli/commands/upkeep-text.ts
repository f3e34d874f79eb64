import type { Job } from '../../api/contract/jobs.ts';
import { copyPlanText, copyPrunedText, copyReportText } from '../vault-text/copy-text.ts';
import { destroyText } from '../vault-text/destroy-text.ts';
import { keepText } from '../vault-text/keep-text.ts';
import { prunePlanText, pruneReportText } from '../vault-text/prune-text.ts';
import { repairText } from '../vault-text/repair-text.ts';
import { retirementPlanText } from '../vault-text/retention-text.ts';
import { damageText, scrubText } from '../vault-text/scrub-text.ts';
import type { ShowTime } from '../vault-text/show-time.ts';
import { trialText } from '../vault-text/trial-text.ts';
import { usageText } from '../vault-text/usage-text.ts';

type Result = NonNullable<Job['result']>;
export type UpkeepResult = Exclude<
  Result,
  { kind: 'backup' | 'backup-group' | 'guest-commands' | 'restore' | 'verify' | 'retain' }
>;

/** Returns what a job that cares for a vault did, as lines for people. */
export function upkeepText(result: UpkeepResult, time: ShowTime): string {
  switch (result.kind) {
    case 'probe':
      return trialText(result.trial);
    case 'usage':
      return usageText(result.usage, time);
    case 'retirement-plan':
      return retirementPlanText(result.plan, time);
    case 'revive':
      return `${result.revived} is back as ${result.pointId}.\n`;
    case 'prune':
      return pruneText(result, time);
    case 'scrub':
      return damageText(result.report) + scrubText(result.report, result.points, time);
    case 'repair':
      return repairText(result.report, result.dryRun ? 'would be' : 'was', 'hyperkeep vault scrub');
    case 'copy':
      return copyText(result);
    case 'keep':
      return keepText(result.report);
    case 'destroy':
      return destroyText(result, time);
  }
}

function pruneText(
  { plan, cost, report }: Extract<Result, { kind: 'prune' }>,
  time: ShowTime,
): string {
  return [
    plan === undefined ? '' : prunePlanText(plan, cost, time),
    report === undefined ? '' : pruneReportText(report, time),
  ].join('');
}

function copyText(result: Extract<Result, { kind: 'copy' }>): string {
  const { to, plan, estimate, costs = [], report, prune, durationMs } = result;
  return [
    plan === undefined || estimate === undefined ? '' : copyPlanText(plan, estimate, costs),
    report === undefined ? '' : copyReportText(to, report, durationMs),
    prune === undefined
      ? ''
      : copyPrunedText(report === undefined ? 'Would remove' : 'Removed', prune),
  ].join('');
}
