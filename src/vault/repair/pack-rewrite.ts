import { FOOTER_INDEX, seal } from '../aead.ts';
import { ID_BYTES } from '../chunk-id.ts';
import { frameBytes, openFrame, packFrame, sealFrame } from '../frame.ts';
import type { PackName } from '../layout.ts';
import {
  encodeFooter,
  FRAME_BYTES,
  packTrailer,
  PREFIX_BYTES,
  type FrameEntry,
} from '../pack-layout.ts';
import { REWRITE_LEVEL } from '../zstd.ts';
import { corrupt, type Packs } from '../packs.ts';

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
 */
export function writePack(packs: Packs, name: PackName, slots: readonly RewriteSlot[]): Buffer {
  const keys = packs.frameKeys(name);
  const header = Buffer.from(keys.header);
  const parts: Buffer[] = [header];
  const frames: FrameEntry[] = [];
  let offset = header.length;
  for (const group of groups(slots, FRAME_BYTES[name.kind])) {
    const raw = Buffer.concat(
      group.flatMap(({ content }) => (content === undefined ? [] : [content])),
    );
    const { body, compressed } = packFrame(raw, REWRITE_LEVEL);
    const target = Buffer.alloc(frameBytes(body.length));
    const index = frames.length;
    sealFrame(keys, index, body, target);
    if (
      !Buffer.from(openFrame(keys, { index, rawBytes: raw.length, compressed }, target)).equals(raw)
    ) {
      throw corrupt(name, 'it did not come back from memory as it went in');
    }
    const sealedBytes = target.length - PREFIX_BYTES;
    frames.push({ sealedBytes, rawBytes: raw.length, slots: group.length, compressed });
    parts.push(target);
    offset += target.length;
  }
  const sizes = slots.map(({ size, content }) => (content === undefined ? 0 : size));
  const ids = Buffer.alloc(slots.length * ID_BYTES);
  for (const [slot, { id }] of slots.entries()) {
    ids.set(id, slot * ID_BYTES);
  }
  const place = { key: keys.key, index: FOOTER_INDEX, additional: keys.header };
  const sealed = seal(place, encodeFooter({ frames, sizes, ids }));
  const trailer = packTrailer(packs.base.context, name, { offset, sealed });
  return Buffer.concat([...parts, sealed, trailer]);
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
