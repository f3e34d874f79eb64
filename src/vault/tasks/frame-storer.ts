import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import { ID_BYTES } from '../chunks/chunk-id.ts';
import {
  frameBytes,
  frameRoom,
  openFrame,
  packFrame,
  sealFrame,
  type FrameKeys,
  type PackedFrame,
} from '../packs/frame.ts';
import { PackBuffer, type PackMemory } from './pack-buffer.ts';
import { DATA_FRAME_BYTES, PREFIX_BYTES, type FrameEntry } from '../packs/pack-layout.ts';
import { requireWhole } from '../packs/pack-writing.ts';
import { compressBound, type CompressionLevel } from '../bytes/zstd.ts';

/** A pack that is being filled. */
export interface PackTarget extends FrameKeys {
  readonly memory: PackMemory;
}

/** A chunk that is in no pack yet. */
export interface FreshChunk {
  readonly bytes: Uint8Array;
  readonly id: Uint8Array;
}

/** Where new chunks went. */
export interface StoredFrames {
  readonly frames: FrameEntry[];
  readonly frame: number;
  readonly slot: number;
  readonly slotSectors: number[];
  readonly slotIds: Uint8Array;
  readonly newBytes: number;
  readonly storedBytes: number;
}

/** Puts new chunks into a pack. Each thread has its own. */
export class FrameStorer {
  /** Memory for one frame that is read back. */
  readonly #readBack = frameRoom(DATA_FRAME_BYTES);
  /** Memory for the compressed frames of one task. */
  #bodies = frameRoom(0);

  /**
   * Compresses chunks into frames, takes room in the pack for all of them at once, encrypts and
   * verifies.
   */
  store(pack: PackTarget, fresh: readonly FreshChunk[], level: CompressionLevel): StoredFrames {
    const raws = gatherFrames(fresh);
    const newBytes = raws.reduce((sum, { raw }) => sum + raw.length, 0);
    const packed = packFrames(raws, level, this.#room(newBytes));
    const storedBytes = packed.reduce((sum, { body }) => sum + frameBytes(body.length), 0);
    const slotIds = new Uint8Array(fresh.length * ID_BYTES);
    for (const [index, { id }] of fresh.entries()) {
      slotIds.set(id, index * ID_BYTES);
    }
    const slotSectors = fresh.map(({ bytes }) => bytes.length / SECTOR_BYTES);
    const frames: FrameEntry[] = [];
    const done = { frames, slotSectors, slotIds, newBytes, storedBytes };
    if (fresh.length === 0) {
      return { ...done, frame: 0, slot: 0 };
    }
    const buffer = new PackBuffer(pack.memory);
    const room = buffer.take({ bytes: storedBytes, frames: packed.length, slots: fresh.length });
    let { offset } = room;
    for (const [index, { raw, body, compressed, chunks }] of packed.entries()) {
      const target = buffer.bytes.subarray(offset, offset + frameBytes(body.length));
      const shape = { index: room.frame + index, rawBytes: raw.length, compressed };
      sealFrame(pack, shape.index, body, target);
      verifyFrame(pack, shape, { target, chunks, room: this.#readBack });
      frames.push({
        sealedBytes: target.length - PREFIX_BYTES,
        rawBytes: raw.length,
        slots: chunks.length,
        compressed,
      });
      offset += target.length;
    }
    return { ...done, frame: room.frame, slot: room.slot };
  }

  #room(rawBytes: number): Uint8Array {
    if (this.#bodies.length < compressBound(rawBytes)) {
      this.#bodies = frameRoom(rawBytes);
    }
    return this.#bodies;
  }
}

/** Compresses frames one after another into `room`. */
function packFrames<T extends { readonly raw: Uint8Array }>(
  raws: readonly T[],
  level: CompressionLevel,
  room: Uint8Array,
): (T & PackedFrame)[] {
  let at = 0;
  return raws.map((raw) => {
    const packed = packFrame(raw.raw, level, room.subarray(at));
    at += packed.compressed ? packed.body.length : 0;
    return { ...raw, ...packed };
  });
}

interface GatheredFrame {
  readonly raw: Uint8Array;
  readonly chunks: readonly FreshChunk[];
}

/** Puts neighbouring chunks into one frame, in their order, up to its limit. */
function gatherFrames(fresh: readonly FreshChunk[]): GatheredFrame[] {
  const frames: GatheredFrame[] = [];
  let first = 0;
  let length = 0;
  for (let index = 0; index <= fresh.length; index++) {
    const next = fresh[index]?.bytes.length ?? 0;
    if (index > first && (index === fresh.length || length + next > DATA_FRAME_BYTES)) {
      const chunks = fresh.slice(first, index);
      frames.push({ raw: join(chunks, length), chunks });
      first = index;
      length = 0;
    }
    length += next;
  }
  return frames;
}

/**
 * Returns the chunks as one run of bytes: a view if they already lie side by side in this order.
 */
function join(chunks: readonly FreshChunk[], length: number): Uint8Array {
  const first = chunks[0]?.bytes;
  if (first !== undefined && liesTogether(chunks)) {
    return new Uint8Array(first.buffer, first.byteOffset, length);
  }
  const raw = Buffer.allocUnsafe(length);
  let at = 0;
  for (const { bytes } of chunks) {
    // `set` would copy from shared memory word by word.
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).copy(raw, at);
    at += bytes.length;
  }
  return raw;
}

/**
 * Checks that each chunk begins where the one before it ends. Chunks come in any order, so it is
 * not enough that first and last fit.
 */
function liesTogether(chunks: readonly FreshChunk[]): boolean {
  return chunks.every(({ bytes }, index) => {
    const before = chunks[index - 1]?.bytes;
    return (
      before === undefined ||
      (bytes.buffer === before.buffer && bytes.byteOffset === before.byteOffset + before.length)
    );
  });
}

/**
 * Reads the frame back from the memory that will be sent, and compares it with the chunks: this
 * catches flipped bits and mistakes before anything is stored.
 */
function verifyFrame(
  keys: FrameKeys,
  shape: { index: number; rawBytes: number; compressed: boolean },
  { target, chunks, room }: { target: Uint8Array; chunks: readonly FreshChunk[]; room: Uint8Array },
): void {
  requireWhole(shape.index, () => holds(openFrame(keys, shape, target, room), chunks));
}

function holds(raw: Uint8Array, chunks: readonly FreshChunk[]): boolean {
  let at = 0;
  for (const { bytes } of chunks) {
    if (Buffer.compare(raw.subarray(at, at + bytes.length), bytes) !== 0) {
      return false;
    }
    at += bytes.length;
  }
  return at === raw.length;
}
