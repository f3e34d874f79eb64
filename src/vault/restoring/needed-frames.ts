import type { Extent } from '../../disk/extent.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import type { Fragment } from '../maps/leaf-fragments.ts';
import { frameRequests, type FrameRequest } from '../packs/frame-requests.ts';
import type { OpenPack, PlacedSlot, SlotReference } from '../packs/open-pack.ts';
import type { Part } from '../tasks/restore-task.ts';

/** What is needed of one frame. */
export interface NeededFrame {
  readonly parts: readonly Part[];
  /** The slots with the parts, and the names that the map has for them. */
  readonly slots: ReadonlyMap<number, SlotReference>;
}

/** Needed frames of one pack, by their index. */
export type FramesOfPack = ReadonlyMap<number, NeededFrame>;

/** A ranged read, the pack it reads from, and what is needed of its frames. */
export interface NeededRead {
  readonly open: OpenPack;
  readonly request: FrameRequest;
  readonly frames: FramesOfPack;
}

interface GrowingFrame extends NeededFrame {
  readonly parts: (Part & { length: number })[];
  readonly slots: Map<number, SlotReference>;
}

/** The frames that hold the content of some leaves: each is fetched once, however many share it. */
export class NeededFrames {
  /** By object and not by pack, because another generation has other frames. */
  readonly #packs = new Map<OpenPack, Map<number, GrowingFrame>>();

  /** Adds a fragment of the map, found in a slot, and the range of the disk that it fills. */
  add(fragment: Fragment, { open, slot }: PlacedSlot, { offset, length }: Extent): void {
    const { frameOf, offsetOf } = open.footer;
    const { parts, slots } = this.#frame(open, frameOf[slot] ?? 0);
    slots.set(slot, fragment);
    const rawOffset = (offsetOf[slot] ?? 0) + fragment.first * SECTOR_BYTES;
    const last = parts.at(-1);
    if (
      last !== undefined &&
      last.rawOffset + last.length === rawOffset &&
      last.diskOffset + last.length === offset
    ) {
      last.length += length;
    } else {
      parts.push({ rawOffset, diskOffset: offset, length });
    }
  }

  /** Yields the ranged reads that fetch the frames, pack by pack. */
  *reads(requestBytes: number | undefined): Iterable<NeededRead> {
    for (const [open, frames] of this.#packs) {
      const places = open.footer.frames.filter(({ index }) => frames.has(index));
      for (const request of frameRequests(places, requestBytes)) {
        yield { open, request, frames };
      }
    }
  }

  #frame(open: OpenPack, index: number): GrowingFrame {
    let frames = this.#packs.get(open);
    if (frames === undefined) {
      frames = new Map();
      this.#packs.set(open, frames);
    }
    let frame = frames.get(index);
    if (frame === undefined) {
      frame = { parts: [], slots: new Map() };
      frames.set(index, frame);
    }
    return frame;
  }
}

/** Returns the bytes of the disk that a read brings. */
export function neededBytes({ request, frames }: NeededRead): number {
  let bytes = 0;
  for (const { index } of request.frames) {
    for (const { length } of frames.get(index)?.parts ?? []) {
      bytes += length;
    }
  }
  return bytes;
}
