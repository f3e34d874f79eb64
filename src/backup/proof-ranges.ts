import type { Extent } from '../disk/extent.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Number of days with backups in which the whole disk is checked once. */
const SLICES = 30;
/**
 * At most this many days without a backup are made up for: one backup must not read a whole disk.
 */
const SLICES_AT_ONCE = 3;
const ALIGNMENT_BYTES = 4 * 1024 * 1024;

/**
 * Returns the part of a disk in which a backup checks change tracking: one slice, a thirtieth of
 * the disk, for each day since the last backup; nothing for a second backup on the same day.
 */
export function proofRanges(
  sizeBytes: number,
  { beforeMs, nowMs }: { readonly beforeMs: number; readonly nowMs: number },
): Extent[] {
  const today = Math.floor(nowMs / DAY_MS);
  const days = Math.min(SLICES_AT_ONCE, today - Math.floor(beforeMs / DAY_MS));
  const ranges: Extent[] = [];
  for (let day = today - days + 1; day <= today; day++) {
    const slice = day % SLICES;
    const offset = border(sizeBytes, slice);
    const length = border(sizeBytes, slice + 1) - offset;
    if (length > 0) {
      ranges.push({ offset, length });
    }
  }
  return ranges;
}

function border(sizeBytes: number, slice: number): number {
  const exact = (sizeBytes * slice) / SLICES;
  return slice === SLICES ? sizeBytes : Math.floor(exact / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}
