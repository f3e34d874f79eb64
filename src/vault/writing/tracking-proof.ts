import { mergeExtents, type ContentExtent, type Extent } from '../../disk/extent.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import type { Expected } from '../tasks/compare-task.ts';
import { cutOut, type Fragment, type SectorRange } from '../maps/leaf-fragments.ts';
import { LEAF_SECTORS } from '../maps/map-node.ts';
import type { MapTree } from '../maps/map-tree.ts';
import { overlapping } from '../maps/overlapping-ranges.ts';
import type { DiskSource } from './new-point.ts';
import type { Running } from '../../kernel/progress.ts';
import type { TaskPool } from '../tasks/task-pool.ts';

/** Sectors read and compared at once; a leaf has a whole number of such windows. */
const WINDOW_SECTORS = 1024;

interface ProofParts {
  readonly pool: TaskPool;
  /** The disk's map in the parent point. */
  readonly last: MapTree;
}

export interface TrackingProof {
  /** Bytes that were read and match the last map. */
  readonly provenBytes: number;
  /** Ranges that differ although no change of them was reported. */
  readonly wrong: readonly Extent[];
}

/**
 * Reads parts of a disk that change tracking calls unchanged, and compares them with the last map:
 * slots that it uses whole by their ids, holes with zeroes. Slots that it uses in part are skipped,
 * because there is no id to compare with.
 * @param ranges what to check, in bytes, without the changed parts in them
 */
export async function proveTracking(
  { pool, last }: ProofParts,
  source: Pick<DiskSource, 'reader' | 'sizeBytes'>,
  { changed, ranges }: { changed: readonly ContentExtent[]; ranges: readonly Extent[] },
  running: Running,
): Promise<TrackingProof> {
  const { signal } = running;
  const known = new KnownContent(last, sectorRanges(changed));
  // What lies beyond the shorter of the two ends is gone or new.
  const end = Math.floor(Math.min(source.sizeBytes, last.root.sizeBytes) / SECTOR_BYTES);
  const wrong: Extent[] = [];
  let provenBytes = 0;
  for (const window of windows(ranges, end)) {
    signal.throwIfAborted();
    const expected = await known.at(window, signal);
    if (expected.length === 0) {
      continue;
    }
    const bytes = await readWindow(source, window, signal);
    const found = new Set(await pool.run({ kind: 'compare', bytes, expected }));
    for (const [position, { offset, length }] of expected.entries()) {
      if (found.has(position)) {
        wrong.push({ offset: window.from * SECTOR_BYTES + offset, length });
      } else {
        provenBytes += length;
      }
    }
  }
  return { provenBytes, wrong: mergeExtents(wrong) };
}

function* windows(ranges: readonly Extent[], end: number): Iterable<SectorRange> {
  for (const { offset, length } of ranges) {
    const to = Math.min(end, Math.floor((offset + length) / SECTOR_BYTES));
    for (let from = Math.ceil(offset / SECTOR_BYTES); from < to;) {
      const next = Math.min(to, (Math.floor(from / WINDOW_SECTORS) + 1) * WINDOW_SECTORS);
      yield { from, to: next };
      from = next;
    }
  }
}

type PlacedFragment = Fragment & SectorRange;

/** What the last map says about windows in which nothing changed. */
class KnownContent {
  readonly #last: MapTree;
  readonly #changed: readonly SectorRange[];
  /** Windows come in order, so one leaf serves many. */
  #leaf: { readonly index: number; readonly fragments: readonly PlacedFragment[] } | undefined;

  /** @param changed ascending, disjoint */
  constructor(last: MapTree, changed: readonly SectorRange[]) {
    this.#last = last;
    this.#changed = changed;
  }

  /** Returns the expected content, with offsets relative to the window. */
  async at(window: SectorRange, signal: AbortSignal): Promise<Expected[]> {
    const leaf = await this.#fragments(Math.floor(window.from / LEAF_SECTORS), signal);
    const fragments = overlapping(leaf, window);
    const changes = overlapping(this.#changed, window);
    const known: Expected[] = [];
    for (const fragment of cutOut(fragments, changes)) {
      if (isWhole(fragment) && isInside(fragment, window)) {
        known.push(place(fragment.start, fragment.sectors, window, Uint8Array.from(fragment.id)));
      }
    }
    for (const { from, to } of gaps(window, [...fragments, ...changes])) {
      known.push(place(from, to - from, window));
    }
    return known;
  }

  async #fragments(index: number, signal: AbortSignal): Promise<readonly PlacedFragment[]> {
    if (this.#leaf?.index !== index) {
      const base = index * LEAF_SECTORS;
      const fragments = (await this.#last.leaf(index, signal)).map((fragment) => {
        const start = fragment.start + base;
        return { ...fragment, start, from: start, to: start + fragment.sectors };
      });
      this.#leaf = { index, fragments };
    }
    return this.#leaf.fragments;
  }
}

function place(start: number, sectors: number, window: SectorRange, id?: Uint8Array): Expected {
  const offset = (start - window.from) * SECTOR_BYTES;
  return { offset, length: sectors * SECTOR_BYTES, ...(id === undefined ? {} : { id }) };
}

function isWhole({ first, sectors, slotSectors }: Fragment): boolean {
  return first === 0 && sectors === slotSectors;
}

function isInside({ start, sectors }: Fragment, { from, to }: SectorRange): boolean {
  return start >= from && start + sectors <= to;
}

/** Yields the parts of `window` that are in none of `taken`. */
function* gaps(window: SectorRange, taken: readonly SectorRange[]): Iterable<SectorRange> {
  let at = window.from;
  for (const { from, to } of taken.toSorted((a, b) => a.from - b.from)) {
    if (from > at) {
      yield { from: at, to: Math.min(from, window.to) };
    }
    at = Math.max(at, to);
  }
  if (at < window.to) {
    yield { from: at, to: window.to };
  }
}

/** Widens extents to whole sectors. */
function sectorRanges(extents: readonly Extent[]): SectorRange[] {
  const widened = extents.map(({ offset, length }) => {
    const from = Math.floor(offset / SECTOR_BYTES);
    return { offset: from, length: Math.ceil((offset + length) / SECTOR_BYTES) - from };
  });
  return mergeExtents(widened).map(({ offset, length }) => ({ from: offset, to: offset + length }));
}

async function readWindow(
  { reader }: Pick<DiskSource, 'reader'>,
  { from, to }: SectorRange,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const start = from * SECTOR_BYTES;
  const length = (to - from) * SECTOR_BYTES;
  const bytes = new Uint8Array(new SharedArrayBuffer(length));
  for await (const extent of reader.extents(signal, { offset: start, length })) {
    if (extent.content === 'data') {
      const at = extent.offset - start;
      await reader.read(extent.offset, bytes.subarray(at, at + extent.length), signal);
    }
  }
  return bytes;
}
