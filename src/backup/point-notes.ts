import type { FullReadReason } from '../disk/change-set.ts';
import type { FrozenVm } from '../engines/engine.ts';
import { formatBytes } from '../kernel/text/bytes.ts';
import type { PointDisk, RecoveryPoint } from '../vault/points/recovery-point.ts';
import type { DiskChanges } from './disk-changes.ts';

const POINTS_NAMED_MAX = 3;

/** Why a disk was read whole although it was in the vault already. */
const REASONS: Readonly<Record<FullReadReason, string | undefined>> = {
  // No note: there was nothing to compare with, or the user asked for it.
  'first-backup': undefined,
  requested: undefined,
  'tracking-unavailable': 'the point before does not know its place in the change log',
  'tracking-replaced': 'it was changed outside Hyperkeep, or taken anew, since the point before',
  'change-log-gap': 'its change log has a gap since the point before',
  // Found while the disk is stored: its note names the points that may be wrong.
  'tracking-wrong': undefined,
  'parent-damaged':
    'what the vault keeps of the point before is damaged; verify tells which points are affected',
  'parent-unreadable':
    'this machine may not read packs of the vault, and has none of the point before in its cache',
  'imported-image': 'it was imported from an image',
};

/** Returns sentences for people: what was done although something was missing or unusual. */
export function pointNotes(
  frozen: Pick<
    FrozenVm,
    'consistency' | 'consistencyReason' | 'warnings' | 'definition' | 'takenAtMs'
  >,
  parent: RecoveryPoint | undefined,
  disks: readonly DiskChanges[],
): string[] {
  const notes: string[] = [];
  if (frozen.consistency === 'crash') {
    notes.push(`Crash-consistent: ${frozen.consistencyReason ?? 'file systems were not frozen'}.`);
  }
  notes.push(...frozen.warnings);
  if (parent !== undefined && frozen.takenAtMs < parent.takenAtMs) {
    notes.push('The clock of the host was set back since the point before.');
  }
  for (const { disk, changes } of disks) {
    notes.push(...diskNotes(parent, { disk, changes }));
  }
  for (const { name, excluded } of frozen.definition.disks) {
    if (excluded) {
      notes.push(`Disk ${name} is excluded from recovery points.`);
    }
  }
  return notes;
}

/**
 * Returns what it means that change tracking missed something: all points since the disk was last
 * read whole may lack changes.
 * @param earlier points of the VM in this vault, oldest first
 */
export function missedChangesNote(
  { diskId, name }: Pick<PointDisk, 'diskId' | 'name'>,
  earlier: readonly RecoveryPoint[],
): string {
  const isIncremental = (point: RecoveryPoint): boolean =>
    point.disks.some((disk) => disk.diskId === diskId && disk.method === 'changed-extents');
  const lastWhole = earlier.findLastIndex((point) => !isIncremental(point));
  const affected = earlier.slice(lastWhole + 1).map(({ id }) => id);
  const which = affectedPoints(affected);
  return `Disk ${name}: change tracking missed changes, so the disk was read whole and is tracked anew. ${which}`;
}

/** Names a few points; of many the first, the last and the number, because notes have a limit. */
function affectedPoints(ids: readonly string[]): string {
  const [first, last] = [ids[0], ids.at(-1)];
  if (first === undefined || last === undefined) {
    return 'No earlier point in this vault relied on it.';
  }
  return ids.length <= POINTS_NAMED_MAX
    ? `These points may lack changes of the disk: ${ids.join(', ')}.`
    : `All ${ids.length} points from ${first} to ${last} may lack changes of the disk.`;
}

function diskNotes(
  parent: RecoveryPoint | undefined,
  { disk, changes }: Pick<DiskChanges, 'disk' | 'changes'>,
): string[] {
  const before = parent?.disks.find(({ diskId }) => diskId === disk.diskId);
  if (parent !== undefined && before === undefined) {
    return [`Disk ${disk.name} is new since the point before.`];
  }
  const notes: string[] = [];
  if (before !== undefined && before.sizeBytes !== disk.sizeBytes) {
    notes.push(
      `Disk ${disk.name} went from ${formatBytes(before.sizeBytes)} to ${formatBytes(disk.sizeBytes)}.`,
    );
  }
  const reason = changes.method === 'full' ? REASONS[changes.reason] : undefined;
  if (reason !== undefined) {
    notes.push(`Disk ${disk.name} was read whole: ${reason}.`);
  }
  return notes;
}
