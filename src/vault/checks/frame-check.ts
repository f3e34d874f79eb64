import type { FrameFetcher } from '../tasks/frame-fetcher.ts';
import { sameBytes, type KeyTree } from '../keys/key-tree.ts';
import {
  withoutId,
  type CheckedFrame,
  type CheckTask,
  type FetchedFrame,
} from '../tasks/frame-tasks.ts';
import type { PackFooter } from '../packs/pack-layout.ts';
import type { OpenPack } from '../packs/open-pack.ts';
import { slotIds, slotsOfFrame } from '../packs/slot-ids.ts';

/** Frames of one pack that were fetched together. */
export interface FetchedFrames {
  readonly pack: OpenPack;
  readonly bytes: Uint8Array;
  readonly frames: readonly FetchedFrame[];
}

/**
 * Decrypts and decompresses frames. If the fetcher checks ids, recomputes the ids of all their
 * slots; afterwards `fetcher.ids` tells whether this machine can.
 */
export async function checkFrames(
  fetcher: FrameFetcher,
  { pack, bytes, frames }: FetchedFrames,
): Promise<readonly CheckedFrame[]> {
  const keys = { key: pack.key, header: pack.header };
  const isData = pack.name.kind === 'data';
  return fetcher.ids.run(async (withIds) => {
    if (withIds && isData) {
      const task: CheckTask = { kind: 'check', keys, bytes, frames: withSlots(pack, frames) };
      return fetcher.pool.run(task);
    }
    const opened = await fetcher.pool.run({ kind: 'open', keys, bytes, frames });
    return opened.map((frame, position): CheckedFrame => {
      const index = frames[position]?.index ?? 0;
      if ('damage' in frame) {
        return { index, damage: frame.damage };
      }
      const wrong =
        isData || !fetcher.ids.areWanted ? [] : wrongNodes(fetcher, pack, index, frame.raw);
      return wrong.length === 0 ? { index } : { index, damage: withoutId(wrong), wrong };
    });
  });
}

/** The id of a metadata slot is its MAC, which needs no add-on. */
function wrongNodes(
  { packs }: FrameFetcher,
  { footer }: OpenPack,
  index: number,
  raw: Uint8Array,
): number[] {
  return slotsOfFrame(footer, index).filter((slot) => !isNode(packs.base.keys, footer, slot, raw));
}

/** Whether a metadata slot matches its id, or is missing in this generation. */
export function isNode(keys: KeyTree, footer: PackFooter, slot: number, raw: Uint8Array): boolean {
  const offset = footer.offsetOf[slot] ?? 0;
  const content = raw.subarray(offset, offset + footer.size(slot));
  return footer.size(slot) === 0 || sameBytes(keys.mac16('map', content), footer.id(slot));
}

function withSlots({ footer }: OpenPack, frames: readonly FetchedFrame[]): CheckTask['frames'] {
  return frames.map((frame) => ({
    ...frame,
    proof: slotIds(footer, slotsOfFrame(footer, frame.index)),
  }));
}
