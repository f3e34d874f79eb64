import type { Cost } from '../../api/contract/spending.ts';
import type { PrunePlan, PruneReport } from '../../api/contract/upkeep-results.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { count } from '../terminal/quantities.ts';
import type { ShowTime } from './show-time.ts';
import { costText } from './spending-text.ts';

/** Returns what a collection would do. */
export function prunePlanText(plan: PrunePlan, cost: Cost | undefined, time: ShowTime): string {
  const { get, put, remove } = plan.requests;
  const money = cost === undefined ? '' : `; about ${costText(cost)}`;
  return [
    `${standingText(plan)}; ${count(plan.points.length, 'recovery point')} given up.\n`,
    `${count(plan.removedPacks, 'pack')} to remove, ${count(plan.compactedPacks, 'pack')} to write anew: frees about ${formatBytes(plan.removedBytes - plan.writtenBytes)} (${count(plan.deadSlots, 'chunk')}).\n`,
    `About ${String(get)} GET, ${String(put)} PUT, ${String(remove)} DELETE; reads ${formatBytes(plan.readBytes)}, writes ${formatBytes(plan.writtenBytes)}${money}.\n`,
    leftText(plan),
    waitingText(plan, time),
  ].join('');
}

/** The parts add up to the sum. */
function leftText({ deadBytesLeft, youngBytes }: PrunePlan): string {
  const old = deadBytesLeft - youngBytes;
  const parts = [
    ...(youngBytes > 0 ? [`${formatBytes(youngBytes)} in young packs (--young)`] : []),
    ...(old > 0 ? [`${formatBytes(old)} in packs that are mostly needed (--live-share)`] : []),
  ];
  return deadBytesLeft > 0
    ? `${formatBytes(deadBytesLeft)} that nothing needs stay: ${parts.join(', ')}.\n`
    : '';
}

/** Returns the number of points and VMs, for people who know how many there should be. */
function standingText({ standingPoints, vms }: PrunePlan | PruneReport): string {
  const verb = standingPoints === 1 ? 'stands' : 'stand';
  return `${count(standingPoints, 'recovery point')} of ${count(vms, 'VM')} ${verb}`;
}

/** Returns why nothing is removed yet, and what will change that. */
function waitingText({ waitsUntilMs }: PrunePlan | PruneReport, time: ShowTime): string {
  if (waitsUntilMs === undefined) {
    return '';
  }
  const when =
    waitsUntilMs === 'never'
      ? 'it has no cache to remember them in'
      : `prune again after ${time(waitsUntilMs)}`;
  return `This machine has not known the recovery points of this vault for a day, so nothing is removed yet: ${when}. If no point is missing above, --all-points-are-listed removes at once.\n`;
}

/** True if carrying the plan out would change anything. */
export function isWorthPruning({
  points,
  removedPacks,
  compactedPacks,
  deadSlots,
  waitsUntilMs,
}: PrunePlan): boolean {
  const changes = points.length + removedPacks + compactedPacks + deadSlots;
  return waitsUntilMs === undefined && changes > 0;
}

/** Returns what a collection did. */
export function pruneReportText(report: PruneReport, time: ShowTime): string {
  if (report.waitsUntilMs !== undefined) {
    return `Nothing was removed; ${standingText(report)}.\n${waitingText(report, time)}`;
  }
  const freed = report.removedBytes - report.writtenBytes;
  return [
    `Freed ${formatBytes(Math.max(0, freed))}: ${count(report.removedPacks, 'pack')} removed, ${count(report.compactedPacks, 'pack')} written anew, ${count(report.mergedPacks, 'pack')} merged; ${count(report.removedPoints.length, 'recovery point')} gone. ${standingText(report)}.\n`,
    report.deadBytesLeft > 0
      ? `${formatBytes(report.deadBytesLeft)} that nothing needs stay in packs that are mostly needed.\n`
      : '',
    report.noRoomToRewrite
      ? 'The store was full, so packs that are needed in part were not written anew. Prune again.\n'
      : '',
    report.refusedRemovals > 0
      ? `The store did not let go of ${count(report.refusedRemovals, 'object')}: under object lock, or for lack of a permission. The next prune tries again.\n`
      : '',
    report.damagedPacks.length > 0
      ? `Damaged and left alone: ${report.damagedPacks.join(', ')}. Verify the vault.\n`
      : '',
  ].join('');
}
