import { ID_BYTES } from '../chunk-id.ts';
import { packFrame } from '../frame.ts';
import type { PackName } from '../layout.ts';
import { FRAME_BYTES, type FrameEntry } from '../pack-layout.ts';
import { packEnd, sealVerified } from '../pack-writing.ts';
import type { Packs } from '../packs.ts';
import { REWRITE_LEVEL } from '../zstd.ts';

/** One slot of the pack that is written, in the order of their numbers. */
export interface RewriteSlot {
  /** 16 bytes. */
  readonly id: Uint8Array;
  /** Sectors (data) or bytes (metadata). */
  readonly size: number;
  /** Undefined: the slot will be missing. */
  readonly content: Uint8Array | undefined;
}

/**
 * A generation of a pack with these slots, encrypted under its own name; every frame was read back
 * from the memory that is returned.
 * @throws Fault `vault.write-damaged`
 */
export function writePack(packs: Packs, name: PackName, slots: readonly RewriteSlot[]): Buffer {
  const keys = packs.frameKeys(name);
  const header = Buffer.from(keys.header);
  const parts: Uint8Array[] = [header];
  const frames: FrameEntry[] = [];
  let offset = header.length;
  for (const group of groups(slots, FRAME_BYTES[name.kind])) {
    const raw = Buffer.concat(
      group.flatMap(({ content }) => (content === undefined ? [] : [content])),
    );
    const packed = { raw, ...packFrame(raw, REWRITE_LEVEL) };
    const { bytes, entry } = sealVerified(keys, frames.length, packed);
    frames.push({ ...entry, slots: group.length });
    parts.push(bytes);
    offset += bytes.length;
  }
  const sizes = slots.map(({ size, content }) => (content === undefined ? 0 : size));
  const ids = Buffer.alloc(slots.length * ID_BYTES);
  for (const [slot, { id }] of slots.entries()) {
    ids.set(id, slot * ID_BYTES);
  }
  const end = packEnd(packs.base, { name, keys, offset }, { frames, sizes, ids });
  return Buffer.concat([...parts, end]);
}

/** Slots that share a frame: as many as fit, missing ones with whoever comes before them. */
function groups(slots: readonly RewriteSlot[], frameBytesMax: number): RewriteSlot[][] {
  const result: RewriteSlot[][] = [];
  let bytes = Infinity;
  for (const slot of slots) {
    const length = slot.content?.length ?? 0;
    const last = result.at(-1);
    if (last === undefined || (length > 0 && bytes > 0 && bytes + length > frameBytesMax)) {
      result.push([slot]);
      bytes = length;
    } else {
      last.push(slot);
      bytes += length;
    }
  }
  return result;
}
