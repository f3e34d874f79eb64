import { totalLength } from '../disk/extent.ts';
import type { ChangeSet } from '../disk/change-set.ts';
import type { FrozenDisk } from '../engines/engine.ts';
import type { RecoveryPoint } from '../vault/points/recovery-point.ts';

export interface DiskChanges {
  readonly disk: FrozenDisk;
  readonly changes: ChangeSet;
  /** Upper bound for the bytes to read, for progress. */
  readonly readBytesMax: number;
}

/**
 * Returns what each disk has to send, relative to the point that the new one follows in this vault.
 * A disk that the parent does not have is new to the vault, whatever its tracking says.
 */
export async function changesSince(
  parent: RecoveryPoint | undefined,
  disks: readonly FrozenDisk[],
  full: boolean,
): Promise<DiskChanges[]> {
  const result: DiskChanges[] = [];
  for (const disk of disks) {
    const changes = await changesOf(disk, parent, full);
    result.push({ disk, changes, readBytesMax: readBytesMax(disk, changes) });
  }
  return result;
}

async function changesOf(
  disk: FrozenDisk,
  parent: RecoveryPoint | undefined,
  full: boolean,
): Promise<ChangeSet> {
  if (full) {
    return { method: 'full', reason: 'requested' };
  }
  const before = parent?.disks.find(({ diskId }) => diskId === disk.diskId);
  if (before === undefined) {
    return { method: 'full', reason: 'first-backup' };
  }
  if (before.tracking === undefined) {
    return { method: 'full', reason: 'tracking-unavailable' };
  }
  return disk.changedSince(before.tracking);
}

function readBytesMax(disk: FrozenDisk, changes: ChangeSet): number {
  return changes.method === 'full'
    ? disk.sizeBytes
    : totalLength(changes.extents.filter(({ content }) => content === 'data'));
}
