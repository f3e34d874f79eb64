import type { Cost } from '../../api/contract/spending.ts';
import type {
  CopyEstimate,
  CopyPlan,
  CopyPrune,
  CopyReport,
} from '../../api/contract/upkeep-results.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { plainText } from '../terminal/plain-text.ts';
import { count, formatDuration, formatRate } from '../terminal/quantities.ts';
import { costText } from './spending-text.ts';

/** Returns what a copy would send. */
export function copyPlanText(
  { missing, present, points, pointsBeyond }: CopyPlan,
  estimate: CopyEstimate,
  costs: readonly Cost[],
): string {
  return [
    `Would copy ${count(missing.objects, 'object')}, ${formatBytes(missing.bytes)}, with ${count(points, 'recovery point')} that the copy does not have; ${formatBytes(present.bytes)} are there.\n`,
    beyondText(pointsBeyond),
    `  about ${String(estimate.source.gets)} GET and ${String(estimate.source.lists)} LIST at the source, ${String(estimate.target.puts)} PUT and ${String(estimate.target.lists)} LIST at the copy\n`,
    ...costs.map((cost) => `  about ${costText(cost)}\n`),
  ].join('');
}

/** Returns what a copy sent. */
export function copyReportText(to: string, report: CopyReport, durationMs: number): string {
  const { sent, points, pointsBeyond } = report;
  const rate = formatRate((sent.bytes * 1000) / Math.max(1, durationMs));
  return [
    `${plainText(to)} holds ${count(points, 'recovery point')} of the source: ${count(sent.objects, 'object')}, ${formatBytes(sent.bytes)} sent in ${formatDuration(durationMs)} (${rate}).\n`,
    beyondText(pointsBeyond),
  ].join('');
}

/** Returns what a prune removes from a copy, without the verb. */
export function copyPruneText({ points, packs, bytes }: CopyPrune): string {
  return points + packs === 0
    ? 'nothing'
    : `${count(points, 'recovery point')} that were given up and ${count(packs, 'pack')}, ${formatBytes(bytes)}`;
}

/** Returns what was removed, or would be removed, from a copy. */
export function copyPrunedText(verb: 'Would remove' | 'Removed', prune: CopyPrune): string {
  const { keptPacks } = prune;
  const kept =
    keptPacks === 0
      ? ''
      : `  ${count(keptPacks, 'pack')} that the source no longer has may still be needed in the copy; kept\n`;
  return `${verb} ${copyPruneText(prune)} from the copy.\n${kept}`;
}

function beyondText(points: number): string {
  return points === 0
    ? ''
    : `  ${count(points, 'recovery point')} of the copy ${points === 1 ? 'is' : 'are'} not in the source, which never had or no longer has ${points === 1 ? 'it' : 'them'}; kept\n`;
}
