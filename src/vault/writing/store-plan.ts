import type { MapTree } from '../maps/map-tree.ts';
import { changedRuns, dataRuns, type Run } from './disk-runs.ts';
import type { Healing } from './healing.ts';
import type { DiskSource } from './new-point.ts';

/** How to read one disk. */
export interface StorePlan {
  readonly source: DiskSource;
  /** The disk's map in the parent point. */
  readonly last?: MapTree;
  /** How many bytes of the disk had content there, if it is known. */
  readonly lastContentBytes?: number | undefined;
  /** If true, only what changed since `last` is read. */
  readonly incremental: boolean;
}

/**
 * Yields what must be read of the disk, ascending: all its data, or what changed and what the vault
 * has lost since.
 */
export async function* runsToRead(
  { source, last, incremental }: StorePlan,
  healing: Healing | undefined,
  signal: AbortSignal,
): AsyncIterable<Run> {
  const { reader, sizeBytes, changes } = source;
  if (!incremental || last === undefined || changes.method !== 'changed-extents') {
    yield* dataRuns(reader.extents(signal), sizeBytes);
    return;
  }
  const lost = (await healing?.lostExtents(last, signal)) ?? [];
  const extents = [...changes.extents, ...lost];
  const before = last.root.sizeBytes;
  if (sizeBytes > before) {
    // Reads the part that was added, whatever the change log says about it.
    const added = { offset: before, length: sizeBytes - before };
    for await (const extent of reader.extents(signal, added)) {
      if (extent.content === 'data') {
        extents.push(extent);
      }
    }
  }
  yield* changedRuns(extents, sizeBytes, before);
}
