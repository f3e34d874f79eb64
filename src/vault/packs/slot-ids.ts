import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import { ID_BYTES, type ChunkIdFunction } from '../chunks/chunk-id.ts';
import type { PackFooter } from './pack-layout.ts';

/** Slots of one frame of a data pack whose ids are to be recomputed. */
export interface SlotIds {
  readonly slots: readonly SlotContent[];
  /** The ids they must have, 16 bytes each. */
  readonly ids: Uint8Array;
}

/** Where the content of a slot lies in its raw frame, in bytes. */
interface SlotContent {
  readonly slot: number;
  readonly offset: number;
  readonly length: number;
}

/** Returns what the footer says of these slots, without those that this generation lacks. */
export function slotIds(footer: PackFooter, slots: Iterable<number>): SlotIds {
  const known = [...slots].filter((slot) => footer.size(slot) > 0);
  const ids = new Uint8Array(known.length * ID_BYTES);
  for (const [position, slot] of known.entries()) {
    ids.set(footer.id(slot), position * ID_BYTES);
  }
  const places = known.map((slot) => ({
    slot,
    offset: footer.offsetOf[slot] ?? 0,
    length: footer.size(slot) * SECTOR_BYTES,
  }));
  return { slots: places, ids };
}

/** Returns all slots of a frame. */
export function slotsOfFrame(footer: PackFooter, frame: number): number[] {
  const { firstSlot = 0, slots = 0 } = footer.frames[frame] ?? {};
  return Array.from({ length: slots }, (_, at) => firstSlot + at);
}

/** Returns the slots whose content does not match their ids. */
export function wrongSlots(
  raw: Uint8Array,
  { slots, ids }: SlotIds,
  id: ChunkIdFunction,
): number[] {
  return slots
    .filter(
      ({ offset, length }, at) =>
        !id(raw.subarray(offset, offset + length)).equals(
          ids.subarray(at * ID_BYTES, (at + 1) * ID_BYTES),
        ),
    )
    .map(({ slot }) => slot);
}
