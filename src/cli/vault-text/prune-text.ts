import { type Cost } from '../../api/contract/spending.ts';
import { type PrunePlan, type PruneReport } from '../../api/contract/upkeep-results.ts';
import { formatBytes } from '../../kernel/bytes.ts';
import { count } from '../quantities.ts';
import { costText } from './spending-text.ts';

/** What a collection would do. */
export function prunePlanText(plan: PrunePlan, cost: Cost | undefined): string {
  const { get, put, remove } = plan.requests;
  const money = cost === undefined ? '' : `; about ${costText(cost)}`;
  return [
    `${count(plan.points.length, 'recovery point')} given up.\n`,
    `${count(plan.removedPacks, 'pack')} to remove, ${count(plan.compactedPacks, 'pack')} to write anew: frees about ${formatBytes(plan.removedBytes - plan.writtenBytes)} (${count(plan.deadSlots, 'chunk')}).\n`,
    `About ${String(get)} GET, ${String(put)} PUT, ${String(remove)} DELETE; reads ${formatBytes(plan.readBytes)}, writes ${formatBytes(plan.writtenBytes)}${money}.\n`,
    plan.deadBytesLeft > 0
      ? `${formatBytes(plan.deadBytesLeft)} that nothing needs stay: in packs that are young or mostly needed.\n`
      : '',
  ].join('');
}

/** True if carrying the plan out would change anything. */
export function isWorthPruning({
  points,
  removedPacks,
  compactedPacks,
  deadSlots,
}: PrunePlan): boolean {
  return points.length + removedPacks + compactedPacks + deadSlots > 0;
}

/** What a collection did. */
export function pruneReportText(report: PruneReport): string {
  const freed = report.removedBytes - report.writtenBytes;
  return [
    `Freed ${formatBytes(Math.max(0, freed))}: ${count(report.removedPacks, 'pack')} removed, ${count(report.compactedPacks, 'pack')} written anew, ${count(report.mergedPacks, 'pack')} merged; ${count(report.removedPoints.length, 'recovery point')} gone.\n`,
    report.refusedRemovals > 0
      ? `The store did not let go of ${count(report.refusedRemovals, 'object')}: under object lock, or for lack of a permission. The next prune tries again.\n`
      : '',
    report.damagedPacks.length > 0
      ? `Damaged and left alone: ${report.damagedPacks.join(', ')}. Verify the vault.\n`
      : '',
  ].join('');
}
