import type { ChangeSet, TrackingState } from '../disk/change-set.ts';
import { overlay, type ContentExtent } from '../disk/extent.ts';

/** What one freeze found in the layer that it froze: everything since the previous freeze. */
export interface ChangeRecord {
  readonly generation: number;
  /** Size of the disk at the previous freeze. */
  readonly previousSizeBytes: number;
  readonly sizeBytes: number;
  /** Ascending and disjoint, inside `sizeBytes`. */
  readonly extents: readonly ContentExtent[];
}

/**
 * Returns what changed between `since` and `now`: the records of generations since+1..now laid over
 * each other. Any doubt makes it a full read, with the reason.
 *
 * @param recordOf returns the record of a generation of `now.id`, or undefined if it is missing
 */
export async function changesSince(
  since: TrackingState | undefined,
  now: TrackingState,
  recordOf: (generation: number) => Promise<ChangeRecord | undefined>,
): Promise<ChangeSet> {
  if (since === undefined) {
    return { method: 'full', reason: 'first-backup' };
  }
  if (since.id !== now.id || since.generation > now.generation || since.generation < 1) {
    return { method: 'full', reason: 'tracking-replaced' };
  }
  let extents: readonly ContentExtent[] = [];
  for (let generation = since.generation + 1; generation <= now.generation; generation += 1) {
    const record = await recordOf(generation);
    if (record === undefined) {
      return { method: 'full', reason: 'change-log-gap' };
    }
    extents = overlay(resized(extents, record), record.extents);
  }
  return { method: 'changed-extents', extents };
}

/** Carries changes over a resize: drops what was cut off; what was added reads as zeroes. */
function resized(extents: readonly ContentExtent[], record: ChangeRecord): ContentExtent[] {
  const { previousSizeBytes: before, sizeBytes: after } = record;
  if (after > before) {
    return overlay(extents, [{ offset: before, length: after - before, content: 'zero' }]);
  }
  return clip(extents, after);
}

/** Returns the parts of `extents` before `sizeBytes`. */
export function clip(extents: readonly ContentExtent[], sizeBytes: number): ContentExtent[] {
  return extents
    .filter(({ offset }) => offset < sizeBytes)
    .map((extent) => ({ ...extent, length: Math.min(extent.length, sizeBytes - extent.offset) }));
}
