import { type PointHold } from '../../api/contract/upkeep.ts';
import { type RetirementPlan } from '../../api/contract/upkeep-results.ts';
import { formatBytes } from '../../kernel/bytes.ts';
import { formatTable } from '../table.ts';
import { type ShowTime } from './show-time.ts';

/** What giving points up would free. */
export function retirementPlanText(
  { points, freedBytes, keptBytes }: RetirementPlan,
  time: ShowTime,
): string {
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
  const kept =
    keptBytes === 0
      ? ''
      : `${formatBytes(keptBytes)} more are in packs that are mostly needed: they come back when less of those is.\n`;
  return `${table}Together they free about ${formatBytes(freedBytes)}, with what was given up before.\n${kept}`;
}

/** Which points are held, since when and why. */
export function holdsText(holds: readonly PointHold[], time: ShowTime): string {
  const columns = ['POINT', 'VM ID', 'SINCE', 'REASON'].map((title) => ({ title }));
  const rows = holds.map(({ pointId, vmId, atMs, reason }) => [pointId, vmId, time(atMs), reason]);
  return holds.length === 0 ? 'No recovery point is held.\n' : formatTable(columns, rows);
}

/** Points that were given up and are still there. */
export function retiredText(
  points: readonly { readonly pointId: string; readonly vmId: string }[],
): string {
  return points.length === 0
    ? 'No recovery point waits for its removal.\n'
    : points.map(({ pointId, vmId }) => `${pointId}  ${vmId}\n`).join('');
}
