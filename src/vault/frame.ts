import { constants, crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { sealInto, TAG_BYTES, unseal } from './aead.ts';
import { Malformed, require } from './binary.ts';
import { PREFIX_BOUND_BYTES, PREFIX_BYTES } from './pack-layout.ts';

/** What does not shrink below this share of its size is stored raw: decompressing costs more than it saves. */
const COMPRESSED_SHARE_MAX = 0.97;
const COMPRESSION_LEVEL = 3;

/** What all frames of a pack share. */
export interface FrameKeys {
  readonly key: Uint8Array;
  readonly header: Uint8Array;
}

export interface PackedFrame {
  readonly body: Uint8Array;
  readonly compressed: boolean;
}

/** Compresses the slots of a frame, or leaves them raw if that does not pay. */
export function packFrame(raw: Uint8Array): PackedFrame {
  const body = zstdCompressSync(raw, {
    // ZSTD_compressBound: with less room zstd copies its input and compresses it piece by piece.
    chunkSize: raw.length + (raw.length >> 8) + 1024,
    pledgedSrcSize: raw.length,
    params: { [constants.ZSTD_c_compressionLevel]: COMPRESSION_LEVEL },
  });
  return body.length < raw.length * COMPRESSED_SHARE_MAX
    ? { body, compressed: true }
    : { body: raw, compressed: false };
}

/** Bytes of a frame in its pack whose body has `bodyBytes`. */
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
 * The raw bytes of a frame (prefix and ciphertext).
 * @throws Malformed if it is not exactly what was sealed there
 */
export function openFrame(keys: FrameKeys, shape: FrameShape, frame: Uint8Array): Uint8Array {
  require(frame.length >= PREFIX_BYTES + TAG_BYTES, 'the frame is cut short');
  const prefix = new DataView(frame.buffer, frame.byteOffset, PREFIX_BYTES);
  const sealed = frame.subarray(PREFIX_BYTES);
  require(prefix.getUint32(0, true) === shape.index, 'the frame has another number');
  require(prefix.getUint32(4, true) === sealed.length, 'the frame has another length');
  require(prefix.getUint32(8, true) === crc32(sealed), 'the frame does not match its checksum');
  const additional = Buffer.concat([keys.header, frame.subarray(0, PREFIX_BOUND_BYTES)]);
  const body = unseal({ key: keys.key, index: shape.index, additional }, sealed);
  require(body !== undefined, 'the frame is not what was written');
  const raw = shape.compressed ? decompress(body, shape.rawBytes) : body;
  require(raw.length === shape.rawBytes, 'the frame has another raw length');
  return raw;
}

function decompress(body: Uint8Array, rawBytes: number): Buffer {
  try {
    // One byte more than expected: with the exact size zlib makes a second pass to find the end.
    return zstdDecompressSync(body, {
      chunkSize: Math.max(rawBytes + 1, 64),
      maxOutputLength: rawBytes + 1,
    });
  } catch (error) {
    throw new Malformed('the frame does not decompress', { cause: error });
  }
}
