import { mergeExtents, type ContentExtent, type Extent } from '../../disk/extent.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import type { Piece } from '../tasks/store-task.ts';

/** Chunks are cut at multiples of this: docs/vault-format.md, section 1. */
const WINDOW_SECTORS = 1024;

/** Sectors to read, or sectors known to be zero. */
export interface Run extends Piece {
  readonly content: 'data' | 'zero';
}

export function sectorCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / SECTOR_BYTES);
}

/**
 * Yields what must be read of a whole disk: data extents widened to sectors, merged if they then
 * touch, and cut at window borders. Zeroes are left out.
 */
export async function* dataRuns(
  extents: AsyncIterable<ContentExtent>,
  sizeBytes: number,
): AsyncIterable<Run> {
  let start = 0;
  let end = 0;
  for await (const { offset, length, content } of extents) {
    if (content === 'zero' || length === 0) {
      continue;
    }
    const from = Math.floor(offset / SECTOR_BYTES);
    const to = Math.min(sectorCount(sizeBytes), Math.ceil((offset + length) / SECTOR_BYTES));
    if (from > end) {
      yield* windows({ start, sectors: end - start, content: 'data' });
      start = from;
    }
    end = Math.max(end, to);
  }
  yield* windows({ start, sectors: end - start, content: 'data' });
}

/**
 * Yields changed sectors, ascending. Everything that is not wholly zero is read; the rest of the
 * disk is unchanged. If the size changed, the border sector is read too. The extents must cover
 * what a grown disk holds beyond its old end.
 */
export function* changedRuns(
  extents: readonly ContentExtent[],
  sizeBytes: number,
  sizeBytesBefore: number,
): Iterable<Run> {
  const data: Extent[] = [];
  const zero: Extent[] = [];
  for (const { offset, length, content } of extents) {
    const end = Math.min(offset + length, sizeBytes);
    if (end <= offset) {
      continue;
    }
    const first = Math.floor(offset / SECTOR_BYTES);
    const last = Math.ceil(end / SECTOR_BYTES);
    if (content === 'data') {
      data.push({ offset: first, length: last - first });
      continue;
    }
    const inner = Math.ceil(offset / SECTOR_BYTES);
    const outer = end === sizeBytes ? last : Math.floor(end / SECTOR_BYTES);
    if (outer > inner) {
      zero.push({ offset: inner, length: outer - inner });
    }
    // Sectors that are zero only in part.
    data.push({ offset: first, length: Math.min(inner, last) - first });
    data.push({
      offset: Math.max(outer, first),
      length: Math.max(0, last - Math.max(outer, first)),
    });
  }
  data.push(...border(sizeBytes, sizeBytesBefore));
  yield* interleave(mergeExtents(data), mergeExtents(zero));
}

/** Returns the former last sector, which may now hold more or less. */
function border(sizeBytes: number, before: number): Extent[] {
  const offset = Math.floor(Math.min(sizeBytes, before) / SECTOR_BYTES);
  return sizeBytes === before || offset >= sectorCount(sizeBytes) ? [] : [{ offset, length: 1 }];
}

/** If both claim a sector, data wins. */
function* interleave(data: readonly Extent[], zero: readonly Extent[]): Iterable<Run> {
  let next = 0;
  let at = 0;
  function* upTo(limit: number): Iterable<Run> {
    for (let range = zero[next]; range !== undefined && range.offset < limit; range = zero[next]) {
      const start = Math.max(at, range.offset);
      const end = Math.min(limit, range.offset + range.length);
      if (end > start) {
        yield { start, sectors: end - start, content: 'zero' };
      }
      if (range.offset + range.length > limit) {
        return;
      }
      next += 1;
    }
  }
  for (const { offset, length } of data) {
    yield* upTo(offset);
    yield* windows({ start: offset, sectors: length, content: 'data' });
    at = offset + length;
  }
  yield* upTo(Infinity);
}

function* windows(run: Run): Iterable<Run> {
  const end = run.start + run.sectors;
  for (let start = run.start; start < end;) {
    const next = Math.min(end, (Math.floor(start / WINDOW_SECTORS) + 1) * WINDOW_SECTORS);
    yield { start, sectors: next - start, content: run.content };
    start = next;
  }
}

/** Groups runs that are stored together: at most one window of data. */
export async function* batches(runs: AsyncIterable<Run> | Iterable<Run>): AsyncIterable<Run[]> {
  const RUNS_MAX = 4096;
  let batch: Run[] = [];
  let sectors = 0;
  for await (const run of runs) {
    const data = run.content === 'data' ? run.sectors : 0;
    if (batch.length > 0 && (sectors + data > WINDOW_SECTORS || batch.length >= RUNS_MAX)) {
      yield batch;
      batch = [];
      sectors = 0;
    }
    batch.push(run);
    sectors += data;
  }
  if (batch.length > 0) {
    yield batch;
  }
}
