import { setImmediate } from 'node:timers/promises';
import type { DiskWriter } from '../../disk/disk-writer.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import type { FrameFetcher } from '../tasks/frame-fetcher.ts';
import type { Fragment } from '../maps/leaf-fragments.ts';
import { LEAF_BYTES, LEAF_SECTORS } from '../maps/map-node.ts';
import type { MapTree } from '../maps/map-tree.ts';
import type { OpenPack, SlotReference } from '../packs/packs.ts';
import { orLost, type Losses } from '../damage/losses.ts';
import { leafContents, lossyLeafContents } from '../damage/lossy-map.ts';
import { Parallel } from '../../kernel/waiting/parallel.ts';
import type { Part } from '../tasks/restore-task.ts';
import { RestoreTarget, type NeededFrame } from './restore-target.ts';
import { SteadyFlush } from './steady-flush.ts';
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

type GrowingPart = Part & { length: number };

interface GrowingFrame extends NeededFrame {
  readonly parts: GrowingPart[];
  readonly slots: Map<number, SlotReference>;
}

/** By object and not by pack, because another generation has other frames. */
type Needed = Map<OpenPack, Map<number, GrowingFrame>>;

/**
 * Writes a disk of a recovery point, without zeroes. It writes only bytes whose frame verified and,
 * unless the fetcher does not check ids, only chunks that the point was made of.
 */
export async function restoreDisk(
  tree: MapTree,
  fetcher: FrameFetcher,
  writer: DiskWriter,
  running: Running & { readonly losses?: Losses },
): Promise<RestoreStatistics> {
  const { signal, losses } = running;
  const { sizeBytes } = tree.root;
  const before = { ...fetcher.packs.traffic };
  const progress = {
    phase: 'restoring',
    doneBytes: 0,
    totalBytes: losses === undefined ? await dataBytes(tree, signal) : sizeBytes,
  };
  const parallel = new Parallel(REQUESTS_AT_ONCE);
  const steady = new SteadyFlush(writer, signal);
  const target = new RestoreTarget(fetcher, writer, {
    signal,
    ...(losses === undefined ? {} : { losses }),
  });
  const flush = async (needed: Needed): Promise<void> => {
    for (const [open, frames] of needed) {
      const places = open.footer.frames.filter(({ index }) => frames.has(index));
      for (const request of fetcher.requests(places, target.requestBytes)) {
        signal.throwIfAborted();
        await parallel.add(async () => {
          await target.write(open, request, frames);
          const bytes = request.frames.reduce(
            (sum, { index }) => sum + byteCount(frames.get(index)?.parts),
            0,
          );
          progress.doneBytes += bytes;
          steady.written(bytes);
          running.report?.(progress);
        });
      }
    }
  };
  try {
    let needed: Needed = new Map();
    let planned = 0;
    const leaves =
      losses === undefined ? leafContents(tree, signal) : lossyLeafContents(tree, losses, signal);
    for await (const { index, fragments } of leaves) {
      const leaf = { fragments, base: index * LEAF_SECTORS, sizeBytes, losses };
      await addParts(needed, leaf, fetcher, signal);
      await setImmediate();
      planned += 1;
      if (planned % LEAVES_AT_ONCE === 0) {
        await flush(needed);
        needed = new Map();
      }
    }
    await flush(needed);
    await parallel.end();
  } finally {
    await parallel.settle();
    await steady.settle();
    await target.release();
  }
  await steady.end();
  const { requests, bytes } = fetcher.packs.traffic;
  return {
    sizeBytes,
    writtenBytes: progress.doneBytes,
    fetchedBytes: bytes - before.bytes,
    requests: requests - before.requests,
    idsChecked: fetcher.ids.areMade,
  };
}

function byteCount(parts: readonly Part[] = []): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
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

async function addParts(
  all: Needed,
  leaf: {
    readonly fragments: readonly Fragment[];
    readonly base: number;
    readonly sizeBytes: number;
    readonly losses: Losses | undefined;
  },
  fetcher: FrameFetcher,
  signal: AbortSignal,
): Promise<void> {
  for (const fragment of leaf.fragments) {
    const { start, sectors, first } = fragment;
    const diskOffset = (leaf.base + start) * SECTOR_BYTES;
    const length = Math.min(sectors * SECTOR_BYTES, leaf.sizeBytes - diskOffset);
    const placed = await orLost(leaf.losses, { offset: diskOffset, length }, async () =>
      fetcher.packs.place(fragment, signal),
    );
    if (placed === undefined) {
      continue;
    }
    const { open, slot } = placed;
    const { footer } = open;
    const frame = footer.frameOf[slot] ?? 0;
    const frames = all.get(open) ?? new Map<number, GrowingFrame>();
    all.set(open, frames);
    const needed: GrowingFrame = frames.get(frame) ?? {
      parts: [],
      slots: new Map<number, SlotReference>(),
    };
    frames.set(frame, needed);
    const { parts, slots } = needed;
    slots.set(slot, fragment);
    const rawOffset = (footer.offsetOf[slot] ?? 0) + first * SECTOR_BYTES;
    const last = parts.at(-1);
    if (
      last !== undefined &&
      last.rawOffset + last.length === rawOffset &&
      last.diskOffset + last.length === diskOffset
    ) {
      last.length += length;
    } else {
      parts.push({ rawOffset, diskOffset, length });
    }
  }
}
