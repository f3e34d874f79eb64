import { setImmediate } from 'node:timers/promises';
import type { DiskWriter } from '../../disk/disk-writer.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import type { FrameFetcher } from '../tasks/frame-fetcher.ts';
import { LEAF_BYTES, LEAF_SECTORS } from '../maps/map-node.ts';
import type { MapTree } from '../maps/map-tree.ts';
import { orLost, type Losses } from '../damage/losses.ts';
import { leafContents, lossyLeafContents, type LeafContent } from '../damage/lossy-map.ts';
import { Parallel } from '../../kernel/waiting/parallel.ts';
import { neededBytes, NeededFrames, type NeededRead } from './needed-frames.ts';
import { RestoreTarget } from './restore-target.ts';
import { SteadyFlush } from './steady-flush.ts';
import type { RateLimiter } from '../../kernel/rates/rate-limiter.ts';
import type { Running } from '../../kernel/progress.ts';

export interface RestoreStatistics {
  readonly sizeBytes: number;
  /** Bytes written to the disk; the rest are zeroes that were left out. */
  readonly writtenBytes: number;
  /** Bytes read from the store. */
  readonly fetchedBytes: number;
  readonly requests: number;
  /** Whether every chunk was proven to be the one that the point was made of. */
  readonly idsChecked: boolean;
}

/** Ranged reads at once: enough to use a store that is far away. */
const REQUESTS_AT_ONCE = 16;
/** Leaves planned together: frames that several of them share are fetched once. */
const LEAVES_AT_ONCE = 4;

/** What a restore needs besides the map and the disk to write. */
export interface Restoring extends Running {
  /** Accepts losses if given, and gets what could not be read. */
  readonly losses?: Losses;
  /** Limits what is read of data packs; maps and footers are small. */
  readonly limiter?: RateLimiter | undefined;
}

/**
 * Writes a disk of a recovery point, without zeroes. It writes only bytes whose frame verified and,
 * unless the fetcher does not check ids, only chunks that the point was made of.
 *
 * The last step of docs/vault-format.md, section 11: leaves and data pack footers say which frames
 * are needed; these are fetched, and their parts written.
 */
export class DiskRestore {
  readonly #tree: MapTree;
  readonly #fetcher: FrameFetcher;
  readonly #running: Restoring;
  readonly #target: RestoreTarget;
  readonly #parallel = new Parallel(REQUESTS_AT_ONCE);
  readonly #steady: SteadyFlush;
  readonly #progress = { phase: 'restoring', doneBytes: 0, totalBytes: 0 };

  constructor(tree: MapTree, fetcher: FrameFetcher, writer: DiskWriter, running: Restoring) {
    this.#tree = tree;
    this.#fetcher = fetcher;
    this.#running = running;
    this.#target = new RestoreTarget(fetcher, writer, running);
    this.#steady = new SteadyFlush(writer, running.signal);
  }

  /** Call it once. Resolves when the disk is durable. */
  async run(): Promise<RestoreStatistics> {
    const { traffic } = this.#fetcher.packs;
    const before = { ...traffic };
    this.#progress.totalBytes = await this.#bytesToCover();
    try {
      for await (const needed of this.#planned()) {
        for (const read of needed.reads(this.#target.requestBytes)) {
          const { signal, limiter } = this.#running;
          signal.throwIfAborted();
          await limiter?.take(read.request.length, signal);
          await this.#parallel.add(async () => this.#write(read));
        }
      }
      await this.#parallel.end();
    } finally {
      await this.#parallel.settle();
      await this.#steady.settle();
      await this.#target.release();
    }
    await this.#steady.end();
    return {
      sizeBytes: this.#tree.root.sizeBytes,
      writtenBytes: this.#progress.doneBytes,
      fetchedBytes: traffic.bytes - before.bytes,
      requests: traffic.requests - before.requests,
      idsChecked: this.#fetcher.ids.areMade,
    };
  }

  /** Yields what the next leaves need. */
  async *#planned(): AsyncIterable<NeededFrames> {
    let needed = new NeededFrames();
    let leaves = 0;
    for await (const leaf of this.#leaves()) {
      await this.#plan(leaf, needed);
      // Leaves in memory come without I/O between them: lets other work run.
      await setImmediate();
      leaves += 1;
      if (leaves % LEAVES_AT_ONCE === 0) {
        yield needed;
        needed = new NeededFrames();
      }
    }
    yield needed;
  }

  #leaves(): AsyncIterable<LeafContent> {
    const { signal, losses } = this.#running;
    return losses === undefined
      ? leafContents(this.#tree, signal)
      : lossyLeafContents(this.#tree, losses, signal);
  }

  /** Finds the frames of a leaf. */
  async #plan({ index, fragments }: LeafContent, needed: NeededFrames): Promise<void> {
    const { signal, losses } = this.#running;
    const { sizeBytes } = this.#tree.root;
    for (const fragment of fragments) {
      const offset = (index * LEAF_SECTORS + fragment.start) * SECTOR_BYTES;
      const length = Math.min(fragment.sectors * SECTOR_BYTES, sizeBytes - offset);
      const range = { offset, length };
      const placed = await orLost(losses, range, async () =>
        this.#fetcher.packs.place(fragment, signal),
      );
      if (placed !== undefined) {
        needed.add(fragment, placed, range);
      }
    }
  }

  async #write(read: NeededRead): Promise<void> {
    await this.#target.write(read);
    const bytes = neededBytes(read);
    this.#progress.doneBytes += bytes;
    this.#steady.written(bytes);
    this.#running.report?.(this.#progress);
  }

  /** Returns how much is to be written, or the size of the disk if the map may be damaged. */
  async #bytesToCover(): Promise<number> {
    const { losses, signal } = this.#running;
    return losses === undefined ? dataBytes(this.#tree, signal) : this.#tree.root.sizeBytes;
  }
}

/** Adds up what the map holds apart from zeroes. */
async function dataBytes(tree: MapTree, signal: AbortSignal): Promise<number> {
  const { sizeBytes } = tree.root;
  let total = 0;
  for await (const { index, pointer } of tree.leaves(signal)) {
    const { extents } = await tree.nodes.leaf(pointer, signal);
    // Leaves in memory come without I/O between them: lets other work run.
    await setImmediate();
    for (const { start, sectors } of extents) {
      const offset = index * LEAF_BYTES + start * SECTOR_BYTES;
      total += Math.max(0, Math.min(sectors * SECTOR_BYTES, sizeBytes - offset));
    }
  }
  return total;
}
