import { isFault } from '../../kernel/fault.ts';
import { SECTOR_BYTES } from '../chunk-cut.ts';
import { ID_BYTES } from '../chunk-id.ts';
import type { FrameFetcher } from '../frame-fetcher.ts';
import { sameBytes } from '../key-tree.ts';
import type { CheckedFrame, CheckTask, FetchedFrame } from '../open-task.ts';
import type { OpenPack } from '../packs.ts';

/** Frames of one pack that were fetched together. */
export interface FetchedFrames {
  readonly pack: OpenPack;
  readonly bytes: Uint8Array;
  readonly frames: readonly FetchedFrame[];
}

export interface CheckedFrames {
  /** False where this machine cannot compute the ids of chunks; the frames are proven all the same. */
  readonly idsComputed: boolean;
  readonly frames: readonly CheckedFrame[];
}

/** Decrypts and decompresses frames; with `ids` the ids of all their slots are computed anew. */
export async function checkFrames(
  fetcher: FrameFetcher,
  { pack, bytes, frames }: FetchedFrames,
  ids: boolean,
): Promise<CheckedFrames> {
  const keys = { key: pack.key, header: pack.header };
  if (ids && pack.name.kind === 'data') {
    const task: CheckTask = { kind: 'check', keys, bytes, frames: withSlots(pack, frames) };
    try {
      return { idsComputed: true, frames: await fetcher.pool.run(task) };
    } catch (error) {
      if (!isFault(error, 'vault.chunk-id-unavailable')) {
        throw error;
      }
      // Said in the report: the frames are proven, the ids are not.
    }
  }
  const opened = await fetcher.pool.run({ kind: 'open', keys, bytes, frames });
  const checked = opened.map((frame, position): CheckedFrame => {
    const index = frames[position]?.index ?? 0;
    if ('damage' in frame) {
      return { index, damage: frame.damage };
    }
    const isWhole = !ids || pack.name.kind === 'data' || haveIds(fetcher, pack, index, frame.raw);
    return isWhole ? { index } : { index, damage: 'a node of the frame does not have its id' };
  });
  return { idsComputed: !ids || pack.name.kind === 'metadata', frames: checked };
}

/** The id of a slot of metadata is its MAC, which needs no add-on. */
function haveIds(
  fetcher: FrameFetcher,
  { footer }: OpenPack,
  index: number,
  raw: Uint8Array,
): boolean {
  const { firstSlot = 0, slots = 0 } = footer.frames[index] ?? {};
  const { keys } = fetcher.packs.base;
  for (let slot = firstSlot; slot < firstSlot + slots; slot++) {
    const offset = footer.offsetOf[slot] ?? 0;
    const content = raw.subarray(offset, offset + footer.size(slot));
    if (footer.size(slot) > 0 && !sameBytes(keys.mac16('map', content), footer.id(slot))) {
      return false;
    }
  }
  return true;
}

function withSlots({ footer }: OpenPack, frames: readonly FetchedFrame[]): CheckTask['frames'] {
  return frames.map((frame) => {
    const { firstSlot = 0, slots: count = 0 } = footer.frames[frame.index] ?? {};
    const slots: number[] = [];
    for (let slot = firstSlot; slot < firstSlot + count; slot++) {
      if (footer.size(slot) > 0) {
        slots.push(slot);
      }
    }
    const ids = new Uint8Array(slots.length * ID_BYTES);
    for (const [position, slot] of slots.entries()) {
      ids.set(footer.id(slot), position * ID_BYTES);
    }
    const places = slots.map((slot) => ({
      offset: footer.offsetOf[slot] ?? 0,
      length: footer.size(slot) * SECTOR_BYTES,
    }));
    return { ...frame, slots: places, ids };
  });
}
