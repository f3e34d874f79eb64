import type { PointHold } from '../../api/contract/upkeep.ts';
import type { RetirementPlan } from '../../api/contract/upkeep-results.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { formatTable } from '../terminal/table.ts';
import type { ShowTime } from './show-time.ts';

/** Returns what giving points up would free. */
export function retirementPlanText({ points, ...sums }: RetirementPlan, time: ShowTime): string {
  const table = formatTable(
    [
      { title: 'POINT' },
      { title: 'VM' },
      { title: 'TAKEN' },
      { title: 'ALONE NEEDS', align: 'right' },
    ],
    points.map(({ id, vmName, takenAtMs, exclusiveBytes }) => [
      id,
      vmName,
      time(takenAtMs),
      formatBytes(exclusiveBytes),
    ]),
  );
  return table + sumsText(sums);
}

/** The parts add up to the sum: all are stored bytes. */
function sumsText({ freedBytes, youngBytes, keptBytes }: Omit<RetirementPlan, 'points'>): string {
  const part = (bytes: number, what: string): string =>
    bytes > 0 ? `  ${formatBytes(bytes)} ${what}\n` : '';
  return [
    `Then nothing needs about ${formatBytes(freedBytes + keptBytes)}, with what was given up before:\n`,
    part(freedBytes - youngBytes, 'come back with the next prune'),
    part(youngBytes, 'come back with a prune when their packs are a day old (--young 0: at once)'),
    part(keptBytes, 'stay in packs that are mostly needed, until less of those is'),
  ].join('');
}

/** Returns which points are held, since when and why. */
export function holdsText(holds: readonly PointHold[], time: ShowTime): string {
  const columns = ['POINT', 'VM ID', 'SINCE', 'REASON'].map((title) => ({ title }));
  const rows = holds.map(({ pointId, vmId, atMs, reason }) => [pointId, vmId, time(atMs), reason]);
  return holds.length === 0 ? 'No recovery point is held.\n' : formatTable(columns, rows);
}

/** Returns the points that were given up and are still there. */
export function retiredText(
  points: readonly { readonly pointId: string; readonly vmId: string }[],
): string {
  return points.length === 0
    ? 'No recovery point waits for its removal.\n'
    : points.map(({ pointId, vmId }) => `${pointId}  ${vmId}\n`).join('');
}
