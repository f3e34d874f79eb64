import type { Point } from '../../api/contract/points.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import type { Outcome } from '../outcome.ts';
import { plainText } from '../terminal/plain-text.ts';
import { count } from '../terminal/quantities.ts';
import { formatTable } from '../terminal/table.ts';
import { isVmId, noPoints } from '../options/choose-point.ts';
import { keepingText } from './policies/retire-text.ts';
import { vmCells } from '../options/vm-cells.ts';
import type { WhichVm } from '../options/which-vm.ts';
import { originCell } from '../vault-text/origin-text.ts';
import type { ShowTime } from '../vault-text/show-time.ts';

export interface PointsOptions extends CommonOptions, WhichVm {
  readonly vault?: string;
  readonly refresh?: boolean;
}

const REASON_CHARACTERS = 40;

export async function listPoints(
  cli: Cli,
  { vm, vmId, vault, refresh }: PointsOptions,
): Promise<Outcome> {
  const query = { vm, vmId, vault, ...(refresh === true ? { refresh: 'true' } : {}) };
  const service = await cli.service();
  const answer = await service.call('listPoints', { query }, cli.signal);
  const named = vmId ?? vm;
  if (answer.points.length === 0 && named !== undefined) {
    const { vms } = await service.call('listVms', {}, cli.signal);
    if (
      !vms.some(({ id, name }) => (vmId === undefined ? name === vm : isVmId(vmId)({ vmId: id })))
    ) {
      throw noPoints([], { vm, vmId, listedBy: 'hyperkeep points list' });
    }
  }
  const time: ShowTime = (timeMs) => cli.time(timeMs);
  const reading = refresh === true ? await readingText(cli, answer.points, time) : '';
  return {
    document: answer,
    text:
      answer.points.length === 0
        ? 'No recovery points. Take one with: hyperkeep backup VM\n'
        : pointTable(answer.points, time) + reading,
  };
}

/** Looks into the vaults, so only where that was asked for. */
async function readingText(cli: Cli, points: readonly Point[], time: ShowTime): Promise<string> {
  const service = await cli.service();
  const lines: string[] = [];
  for (const vault of new Set(points.map(({ vaultName }) => vaultName))) {
    const { reading } = await service.call('listReading', { path: { vault } }, cli.signal);
    for (const { pointId, reader, untilMs } of reading) {
      lines.push(`${pointId}: being read by ${plainText(reader)} until ${time(untilMs)}\n`);
    }
  }
  return lines.join('');
}

function pointTable(points: readonly Point[], time: ShowTime): string {
  const columns = [
    { title: 'POINT' },
    { title: 'VM' },
    { title: 'TAKEN' },
    { title: 'VAULT' },
    { title: 'DISKS' },
    { title: 'READ', align: 'right' as const },
    { title: 'STORED', align: 'right' as const },
    { title: 'CONSISTENCY' },
    { title: 'ORIGIN' },
    { title: 'LAST PROVEN' },
    { title: 'HELD' },
    { title: 'KEPT BECAUSE' },
  ];
  const vmOf = vmCells(points);
  const row = (point: Point): string[] => [
    point.id,
    vmOf(point),
    time(point.takenAtMs),
    point.vaultName,
    point.disks.map(({ name, sizeBytes }) => `${name} ${formatBytes(sizeBytes)}`).join(', '),
    formatBytes(point.disks.reduce((sum, { readBytes }) => sum + readBytes, 0)),
    formatBytes(point.disks.reduce((sum, { storedBytes }) => sum + storedBytes, 0)),
    point.consistency,
    originCell(point),
    provenText(point, time),
    heldText(point),
    keptText(point),
  ];
  return formatTable(columns, points.map(row));
}

/** Returns when the point was last known whole, as one cell. */
export function provenText(
  point: Pick<Point, 'provenAtMs' | 'damagedAtMs' | 'check' | 'scrub'>,
  time: ShowTime,
): string {
  const { provenAtMs, damagedAtMs, check, scrub } = point;
  if (damagedAtMs !== undefined) {
    return `DAMAGED, seen ${time(damagedAtMs)}`;
  }
  const damaged = scrub === undefined ? 0 : scrub.damaged;
  if (damaged > 0) {
    return `DAMAGED, ${count(damaged, 'pack')}`;
  }
  if (provenAtMs !== undefined) {
    return time(provenAtMs);
  }
  if (check?.addedLevel !== undefined) {
    return `new content, ${time(check.atMs)}`;
  }
  return scrub === undefined ? 'never' : `${String(scrub.proven)} of ${String(scrub.packs)} packs`;
}

/** Returns who verified the point last, when, and how far. */
export function checkText({ check }: Pick<Point, 'check'>, time: ShowTime): string {
  if (check === undefined) {
    return 'not yet';
  }
  const { atMs, by, level, addedLevel } = check;
  const whole = level === undefined ? 'not whole' : `level ${String(level)}`;
  const added = addedLevel === undefined ? '' : `, level ${String(addedLevel)} of what it added`;
  return `${time(atMs)} by ${by}: ${whole}${added}`;
}

/** Returns why the point is kept, or that it is to be given up and why, as one cell. */
export function keptText({ keeping }: Pick<Point, 'keeping'>): string {
  if (keeping === undefined) {
    return 'not decided yet';
  }
  return keeping.keep ? keepingText(keeping) : `DUE TO GO: ${keepingText(keeping)}`;
}

function heldText({ holds }: Pick<Point, 'holds'>): string {
  const reasons = holds.map(({ reason }) => (reason === '' ? 'yes' : reason)).join('; ');
  return reasons.length > REASON_CHARACTERS
    ? `${reasons.slice(0, REASON_CHARACTERS - 1)}…`
    : reasons;
}
