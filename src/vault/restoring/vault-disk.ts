import assert from 'node:assert/strict';
import { DiskReader } from '../../disk/disk-reader.ts';
import type { Content, ContentExtent, Extent } from '../../disk/extent.ts';
import { isAbort } from '../../kernel/fault.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import type { FrameFetcher, RawFrame } from '../tasks/frame-fetcher.ts';
import type { Fragment } from '../maps/leaf-fragments.ts';
import { LEAF_BYTES, LEAF_SECTORS, leafCount } from '../maps/map-node.ts';
import type { MapTree } from '../maps/map-tree.ts';
import type { PlacedSlot } from '../packs/open-pack.ts';
import { wrongSlot } from '../packs/pack-faults.ts';
import { Lru } from '../../kernel/memory/lru.ts';

const FRAMES_BYTES_MAX = 32 * 1024 * 1024;
const LEAVES_MAX = 8;

/**
 * A disk of a recovery point, read in place. Every byte is authenticated and matches its id before
 * it is returned.
 */
export class VaultDisk extends DiskReader {
  override readonly size: number;
  readonly #tree: MapTree;
  readonly #fetcher: FrameFetcher;
  readonly #leaves = new Lru<number, readonly Fragment[]>(LEAVES_MAX);
  readonly #frames = new Lru<string, RawFrame>(FRAMES_BYTES_MAX);
  readonly #opening = new Map<string, Promise<RawFrame>>();

  constructor(tree: MapTree, fetcher: FrameFetcher) {
    super();
    this.size = tree.root.sizeBytes;
    this.#tree = tree;
    this.#fetcher = fetcher;
  }

  override async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    const end = offset + target.length;
    assert(offset >= 0 && end <= this.size, 'a read leaves the disk');
    target.fill(0);
    for (let leaf = Math.floor(offset / LEAF_BYTES); leaf * LEAF_BYTES < end; leaf++) {
      for (const fragment of await this.#leaf(leaf, signal)) {
        const start = (leaf * LEAF_SECTORS + fragment.start) * SECTOR_BYTES;
        const from = Math.max(offset, start);
        const to = Math.min(end, start + fragment.sectors * SECTOR_BYTES);
        if (to > from) {
          const content = await this.#content(fragment, signal);
          target.set(content.subarray(from - start, to - start), from - offset);
        }
      }
    }
  }

  override async *extents(signal: AbortSignal, within?: Extent): AsyncIterable<ContentExtent> {
    const { offset, length } = within ?? { offset: 0, length: this.size };
    const end = Math.min(this.size, offset + length);
    const range = { first: Math.floor(offset / LEAF_BYTES), end: Math.ceil(end / LEAF_BYTES) };
    let at = offset;
    let open: { offset: number; length: number; content: Content } | undefined;
    for await (const data of this.#data(range, signal)) {
      const from = Math.max(at, data.offset);
      const to = Math.min(end, data.offset + data.length);
      if (to <= from) {
        continue;
      }
      if (open !== undefined && open.offset + open.length === from) {
        open.length += to - from;
      } else {
        if (open !== undefined) {
          yield open;
        }
        if (from > at) {
          yield { offset: at, length: from - at, content: 'zero' };
        }
        open = { offset: from, length: to - from, content: 'data' };
      }
      at = to;
    }
    if (open !== undefined) {
      yield open;
    }
    if (end > at) {
      yield { offset: at, length: end - at, content: 'zero' };
    }
  }

  override async close(): Promise<void> {
    // Nothing is open: packs are read by name.
  }

  async *#data(range: { first: number; end: number }, signal: AbortSignal): AsyncIterable<Extent> {
    const end = Math.min(range.end, leafCount(this.size));
    for await (const { index, pointer } of this.#tree.leaves(signal, range.first, end)) {
      const { extents } = await this.#tree.nodes.leaf(pointer, signal);
      for (const { start, sectors } of extents) {
        yield { offset: index * LEAF_BYTES + start * SECTOR_BYTES, length: sectors * SECTOR_BYTES };
      }
    }
  }

  async #leaf(index: number, signal: AbortSignal): Promise<readonly Fragment[]> {
    const known = this.#leaves.get(index);
    if (known !== undefined) {
      return known;
    }
    const fragments = await this.#tree.leaf(index, signal);
    this.#leaves.set(index, fragments, 1);
    return fragments;
  }

  async #content(fragment: Fragment, signal: AbortSignal): Promise<Uint8Array> {
    const { first, sectors } = fragment;
    return this.#fetcher.packs.withSlot(fragment, signal, async (placed) => {
      const { raw, wrong } = await this.#frame(placed, signal);
      if (wrong.includes(placed.slot)) {
        throw wrongSlot(placed.open, placed.slot);
      }
      const offset = (placed.open.footer.offsetOf[placed.slot] ?? 0) + first * SECTOR_BYTES;
      return raw.subarray(offset, offset + sectors * SECTOR_BYTES);
    });
  }

  async #frame(placed: PlacedSlot, signal: AbortSignal): Promise<RawFrame> {
    const { open, slot } = placed;
    // By object, because another generation of the pack has other frames.
    const name = `${open.objectKey}/${open.footer.frameOf[slot] ?? 0}`;
    const known = this.#frames.get(name);
    if (known !== undefined) {
      return known;
    }
    const shared = this.#opening.get(name);
    if (shared !== undefined) {
      try {
        return await shared;
      } catch (error) {
        // The call that started this read was cancelled, but this one was not.
        if (isAbort(error) && !signal.aborted) {
          return this.#frame(placed, signal);
        }
        throw error;
      }
    }
    const opening = this.#fetcher.frame(placed, signal).finally(() => this.#opening.delete(name));
    this.#opening.set(name, opening);
    const frame = await opening;
    this.#frames.set(name, frame, frame.raw.length);
    return frame;
  }
}
