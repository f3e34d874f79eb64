import { crc32 } from 'node:zlib';
import { sealInto, TAG_BYTES, unseal } from '../bytes/aead.ts';
import { Malformed, demand } from '../bytes/binary.ts';
import { PREFIX_BOUND_BYTES, PREFIX_BYTES } from './pack-layout.ts';
import { compress, compressBound, decompress, type CompressionLevel } from '../bytes/zstd.ts';

/**
 * A frame that does not shrink below this share is stored raw: decompressing it costs more than it
 * saves.
 */
const COMPRESSED_SHARE_MAX = 0.97;

/** What all frames of a pack share. */
export interface FrameKeys {
  readonly key: Uint8Array;
  readonly header: Uint8Array;
}

export interface PackedFrame {
  readonly body: Uint8Array;
  readonly compressed: boolean;
}

/**
 * Allocates memory for what `packFrame` and `openFrame` make of frames with this many raw bytes in
 * total.
 */
export function frameRoom(rawBytes: number): Uint8Array {
  return Buffer.allocUnsafeSlow(compressBound(rawBytes));
}

/**
 * Compresses the slots of a frame, or leaves them raw if compression does not pay. The result may
 * be in `room` (`frameRoom` of the frame).
 */
export function packFrame(
  raw: Uint8Array,
  level: CompressionLevel,
  room = frameRoom(raw.length),
): PackedFrame {
  const body = compress(raw, room, level);
  return body.length < raw.length * COMPRESSED_SHARE_MAX
    ? { body, compressed: true }
    : { body: raw, compressed: false };
}

/** Returns the size in the pack of a frame whose body has `bodyBytes`. */
export function frameBytes(bodyBytes: number): number {
  return PREFIX_BYTES + bodyBytes + TAG_BYTES;
}

/** Writes prefix and ciphertext into `target`, which has exactly `frameBytes(body.length)`. */
export function sealFrame(
  keys: FrameKeys,
  index: number,
  body: Uint8Array,
  target: Uint8Array,
): void {
  const prefix = new DataView(target.buffer, target.byteOffset, PREFIX_BYTES);
  prefix.setUint32(0, index, true);
  prefix.setUint32(4, body.length + TAG_BYTES, true);
  const additional = Buffer.concat([keys.header, target.subarray(0, PREFIX_BOUND_BYTES)]);
  const sealed = target.subarray(PREFIX_BYTES);
  sealInto({ key: keys.key, index, additional }, body, sealed);
  prefix.setUint32(8, crc32(sealed), true);
}

export interface FrameShape {
  readonly index: number;
  readonly rawBytes: number;
  readonly compressed: boolean;
}

/**
 * Returns the raw bytes of a frame (prefix and ciphertext). They may be in `room` (`frameRoom` of
 * the frame).
 * @throws Malformed if the bytes are not exactly what was sealed there
 */
export function openFrame(
  keys: FrameKeys,
  shape: FrameShape,
  frame: Uint8Array,
  room?: Uint8Array,
): Uint8Array {
  return openFrameBody(keys, shape, frame, room).raw;
}

/**
 * Returns the raw bytes of a frame and its compressed body, so that moving it needs no compression.
 * @throws Malformed if the bytes are not exactly what was sealed there
 */
export function openFrameBody(
  keys: FrameKeys,
  shape: FrameShape,
  frame: Uint8Array,
  room?: Uint8Array,
): { readonly raw: Uint8Array; readonly body: Uint8Array } {
  demand(frame.length >= PREFIX_BYTES + TAG_BYTES, 'the frame is cut short');
  const prefix = new DataView(frame.buffer, frame.byteOffset, PREFIX_BYTES);
  const sealed = frame.subarray(PREFIX_BYTES);
  demand(prefix.getUint32(0, true) === shape.index, 'the frame has another number');
  demand(prefix.getUint32(4, true) === sealed.length, 'the frame has another length');
  demand(prefix.getUint32(8, true) === crc32(sealed), 'the frame does not match its checksum');
  const additional = Buffer.concat([keys.header, frame.subarray(0, PREFIX_BOUND_BYTES)]);
  const body = unseal({ key: keys.key, index: shape.index, additional }, sealed);
  demand(body !== undefined, 'the frame is not what was written');
  const raw = shape.compressed ? expand(body, shape.rawBytes, room) : body;
  demand(raw.length === shape.rawBytes, 'the frame has another raw length');
  return { raw, body };
}

function expand(body: Uint8Array, rawBytes: number, room = frameRoom(rawBytes)): Uint8Array {
  try {
    return decompress(body, rawBytes, room);
  } catch (error) {
    throw new Malformed('the frame does not decompress', { cause: error });
  }
}
