import type { TrackingState } from '../../../src/disk/change-set.ts';
import type { ContentExtent, Extent } from '../../../src/disk/extent.ts';
import type { FrozenDisk, FrozenVm } from '../../../src/engines/engine.ts';

const { signal } = new AbortController();

export function diskOf(frozen: FrozenVm, name: string): FrozenDisk {
  const disk = frozen.disks.find((candidate) => candidate.name === name);
  if (disk === undefined) {
    throw new Error(`no disk ${name}`);
  }
  return disk;
}

/** Reads the whole disk. */
export async function contentOf({ reader }: FrozenDisk): Promise<Buffer> {
  const content = Buffer.alloc(reader.size);
  await reader.read(0, content, signal);
  return content;
}

/** Returns the one byte that fills `range`; -1 if there are others. */
export async function byteIn({ reader }: FrozenDisk, { offset, length }: Extent): Promise<number> {
  const target = new Uint8Array(length).fill(0xee);
  await reader.read(offset, target, signal);
  return target.every((byte) => byte === target[0]) ? (target[0] ?? -1) : -1;
}

/** Returns what changed since `state`; throws if the disk would be read whole. */
export async function changedExtents(
  disk: FrozenDisk,
  state: TrackingState,
): Promise<readonly ContentExtent[]> {
  const changes = await disk.changedSince(state);
  if (changes.method === 'full') {
    throw new Error(`a full read because of ${changes.reason}`);
  }
  return changes.extents;
}

/** Whether the byte at `at` is in what changed since `state`. */
export async function isChanged(
  disk: FrozenDisk,
  state: TrackingState,
  at: number,
): Promise<boolean> {
  const extents = await changedExtents(disk, state);
  return extents.some(({ offset, length }) => offset <= at && at < offset + length);
}

/**
 * Returns what a backup would make of the disk: its content at `state`, with the changes laid over
 * it.
 */
export async function rebuilt(
  disk: FrozenDisk,
  state: TrackingState,
  old: Buffer,
): Promise<Buffer> {
  const content = Buffer.alloc(disk.sizeBytes);
  old.copy(content);
  for (const { offset, length, content: kind } of await changedExtents(disk, state)) {
    const target = content.subarray(offset, offset + length).fill(0);
    if (kind === 'data') {
      await disk.reader.read(offset, target, signal);
    }
  }
  return content;
}
