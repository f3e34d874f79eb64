import { isFault } from '../../../kernel/fault.ts';
import { SECTOR_BYTES } from '../../chunks/chunk-cut.ts';
import { unpackChunks, type PlacedChunk } from '../../chunks/packed-chunks.ts';
import { LEAF_SECTORS } from '../../maps/map-node.ts';
import type { MapTree } from '../../maps/map-tree.ts';
import type { FrameEntry } from '../../packs/pack-layout.ts';
import type { ContentStatistics } from '../../points/recovery-point.ts';
import type { StoreResult } from '../../tasks/store-task.ts';
import type { Run } from '../disk-runs.ts';

/** Sectors of the disk, ascending. */
interface Range {
  readonly start: number;
  readonly sectors: number;
}

/** What a worker made of one batch, and the number of the pack that took what is new. */
export type StoredBatch = StoreResult & { readonly pack: number };

interface Before {
  /** The disk in the point before. */
  readonly last: MapTree | undefined;
  /** What of the disk had content then; undefined if nobody counted it. */
  readonly lastContentBytes: number | undefined;
  /** Whether the rest of the disk stays as it was. */
  readonly incremental: boolean;
}

/**
 * Counts what new content replaces and how much content is gone, from what the writer holds in its
 * hands anyway: an extent of the last map, a chunk, a frame. Reads nothing of the disk.
 */
export class ContentChanges {
  readonly #before: Before;
  readonly #sums = { replacing: 0, replacingStored: 0, cleared: 0, had: 0, has: 0 };
  #isWhole = true;
  #lastLeaf: { readonly index: number; readonly extents: readonly Range[] } | undefined;

  constructor(before: Before) {
    this.#before = before;
  }

  async count(
    runs: readonly Run[],
    batch: StoredBatch | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const chunks = batch === undefined ? [] : unpackChunks(batch.chunks);
    const weigh = batch === undefined ? () => undefined : storedShares(batch);
    let next = 0;
    for (const { start, sectors } of runs) {
      const from = next;
      while ((chunks[next]?.start ?? Infinity) < start + sectors) {
        next += 1;
      }
      const now = chunks.slice(from, next);
      this.#add(await this.#contentOf({ start, sectors }, signal), now, weigh);
    }
  }

  get statistics(): ContentStatistics | undefined {
    const { replacing, replacingStored, cleared, had, has } = this.#sums;
    const { incremental, lastContentBytes } = this.#before;
    if (!this.#isWhole) {
      return undefined;
    }
    const kept = incremental ? lastContentBytes : 0;
    return {
      replacingBytes: replacing * SECTOR_BYTES,
      replacingStoredBytes: Math.round(replacingStored * SECTOR_BYTES),
      clearedBytes: cleared * SECTOR_BYTES,
      ...(kept === undefined
        ? {}
        : {
            contentBytes: Math.max(0, kept + (has - (incremental ? had : 0)) * SECTOR_BYTES),
          }),
    };
  }

  #add(
    had: readonly Range[],
    has: readonly PlacedChunk[],
    weigh: (chunk: PlacedChunk) => number | undefined,
  ): void {
    const sums = this.#sums;
    const before = total(had);
    sums.had += before;
    sums.has += total(has);
    sums.cleared += before - overlap(had, has);
    for (const chunk of has) {
      const share = weigh(chunk);
      if (share !== undefined) {
        const over = overlap(had, [chunk]);
        sums.replacing += over;
        sums.replacingStored += over * share;
      }
    }
  }

  /** Returns what of a range had content in the point before. */
  async #contentOf({ start, sectors }: Range, signal: AbortSignal): Promise<Range[]> {
    const { last } = this.#before;
    const found: Range[] = [];
    const end = start + sectors;
    for (let from = start; last !== undefined && from < end;) {
      const index = Math.floor(from / LEAF_SECTORS);
      const base = index * LEAF_SECTORS;
      const to = Math.min(end, base + LEAF_SECTORS);
      for (const extent of await this.#leaf(last, index, signal)) {
        const first = Math.max(from, base + extent.start);
        const left = Math.min(to, base + extent.start + extent.sectors) - first;
        if (left > 0) {
          found.push({ start: first, sectors: left });
        }
      }
      from = to;
    }
    return found;
  }

  async #leaf(last: MapTree, index: number, signal: AbortSignal): Promise<readonly Range[]> {
    if (this.#lastLeaf?.index !== index) {
      this.#lastLeaf = { index, extents: await this.#extents(last, index, signal) };
    }
    return this.#lastLeaf.extents;
  }

  async #extents(last: MapTree, index: number, signal: AbortSignal): Promise<readonly Range[]> {
    try {
      return await last.extents(index, signal);
    } catch (error) {
      if (!isFault(error)) {
        throw error;
      }
      // The backup itself may get by without this node. Statistics must not make it fail.
      this.#isWhole = false;
      return [];
    }
  }
}

/** Returns the stored share of each new chunk, once; undefined for those that were there. */
function storedShares({
  pack,
  slot,
  slotSectors,
  frames,
}: StoredBatch): (chunk: PlacedChunk) => number | undefined {
  const shares: (number | undefined)[] = frames.flatMap(shareOfFrame);
  return (chunk) => {
    const index = chunk.slot - slot;
    if (chunk.pack !== pack || index < 0 || index >= slotSectors.length) {
      return undefined;
    }
    const share = shares[index];
    shares[index] = undefined;
    return share;
  };
}

function shareOfFrame({ sealedBytes, rawBytes, slots }: FrameEntry): number[] {
  return Array.from({ length: slots }, () => Math.min(1, sealedBytes / rawBytes));
}

function total(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { sectors }) => sum + sectors, 0);
}

/** Returns how many sectors both have. */
function overlap(some: readonly Range[], others: readonly Range[]): number {
  let both = 0;
  let at = 0;
  for (const { start, sectors } of some) {
    const end = start + sectors;
    for (let index = at; index < others.length; index++) {
      const other = others[index];
      if (other === undefined || other.start >= end) {
        break;
      }
      both += Math.max(
        0,
        Math.min(end, other.start + other.sectors) - Math.max(start, other.start),
      );
      // What ends before the next range begins is done with.
      at = other.start + other.sectors <= end ? index + 1 : at;
    }
  }
  return both;
}
