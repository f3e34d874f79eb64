import assert from 'node:assert/strict';

/** A half-open range [offset, offset + length) of a virtual disk, in bytes. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** What a range of a disk holds. `zero` reads as zeroes and need not be read. */
export type Content = 'data' | 'zero';

/** A range whose content is of one kind. */
export interface ContentExtent extends Extent {
  readonly content: Content;
}

/**
 * Merges overlapping and touching ranges. The result is ascending and disjoint, without empty ones.
 */
export function mergeExtents(extents: Iterable<Extent>): Extent[] {
  const sorted = [...extents]
    .filter(({ length }) => length > 0)
    .sort((a, b) => a.offset - b.offset);
  const merged: { offset: number; length: number }[] = [];
  for (const { offset, length } of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && offset <= last.offset + last.length) {
      last.length = Math.max(last.length, offset + length - last.offset);
    } else {
      merged.push({ offset, length });
    }
  }
  return merged;
}

/** The sum of the lengths, in bytes. */
export function totalLength(extents: Iterable<Extent>): number {
  let total = 0;
  for (const { length } of extents) {
    total += length;
  }
  return total;
}

/**
 * Lays `newer` over `older` (both ascending and disjoint): where they overlap, newer content wins;
 * touching ranges of one content are joined. Gaps, where nothing is known, stay gaps.
 */
export function overlay(
  older: readonly ContentExtent[],
  newer: readonly ContentExtent[],
): ContentExtent[] {
  const borders = new Set<number>();
  for (const { offset, length } of [...older, ...newer]) {
    borders.add(offset);
    borders.add(offset + length);
  }
  const cuts = [...borders].sort((a, b) => a - b);
  const result: ContentExtent[] = [];
  let o = 0;
  let n = 0;
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [start, end] = [cuts[i], cuts[i + 1]];
    assert(start !== undefined && end !== undefined);
    o = skipPast(older, o, start);
    n = skipPast(newer, n, start);
    const content = contentAt(newer[n], start) ?? contentAt(older[o], start);
    if (content !== undefined) {
      append(result, { offset: start, length: end - start, content });
    }
  }
  return result;
}

function skipPast(extents: readonly ContentExtent[], from: number, position: number): number {
  let index = from;
  for (;;) {
    const extent = extents[index];
    if (extent === undefined || extent.offset + extent.length > position) {
      return index;
    }
    index += 1;
  }
}

function contentAt(extent: ContentExtent | undefined, position: number): Content | undefined {
  return extent !== undefined && extent.offset <= position ? extent.content : undefined;
}

function append(target: ContentExtent[], next: ContentExtent): void {
  const last = target.at(-1);
  if (last?.content === next.content && last.offset + last.length === next.offset) {
    target[target.length - 1] = { ...last, length: last.length + next.length };
  } else {
    target.push(next);
  }
}
