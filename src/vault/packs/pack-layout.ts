import { crc32 } from 'node:zlib';
import { ByteReader, ByteWriter, demand } from '../bytes/binary.ts';
import { TAG_BYTES } from '../bytes/aead.ts';
import type { ChunkIdAlgorithm } from '../chunks/chunk-id.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import { ID_BYTES } from '../chunks/chunk-id.ts';
import { FORMAT_VERSION } from '../format/format-version.ts';
import type { PackKind, PackName } from '../format/object-names.ts';
import {
  DATA_FRAME_RAW_BYTES_MAX,
  FOOTER_BYTES_MAX,
  FRAMES_MAX,
  METADATA_FRAME_RAW_BYTES_MAX,
  PACK_BYTES_MAX,
  SLOTS_MAX,
} from '../format/limits.ts';
import {
  decodeTrailer,
  encodeHeader,
  encodeTrailer,
  HEADER_BYTES,
  requireOf,
  type FooterPlace,
  type PackEndFields,
} from '../format/pack-ends.ts';

/** Packs, byte by byte: docs/vault-format.md, section 6. */

export const PREFIX_BYTES = 12;
/** Part of the prefix that is authenticated: index and length. */
export const PREFIX_BOUND_BYTES = 8;
/** Raw bytes per frame; docs/decisions/0034 gives the reason. */
export const DATA_FRAME_BYTES = 2 * 1024 * 1024;
export const METADATA_FRAME_BYTES = 512 * 1024;
export const FRAME_BYTES: Readonly<Record<PackKind, number>> = {
  data: DATA_FRAME_BYTES,
  metadata: METADATA_FRAME_BYTES,
};
const FRAME_RAW_BYTES_MAX: Readonly<Record<PackKind, number>> = {
  data: DATA_FRAME_RAW_BYTES_MAX,
  metadata: METADATA_FRAME_RAW_BYTES_MAX,
};

const FOOTER_LAYOUT = 0;
const CIPHER_AES_256_GCM = 1;
const COMPRESSION_ZSTD = 1;
const KINDS: Readonly<Record<PackKind, number>> = { data: 1, metadata: 2 };
const CHUNK_IDS: Readonly<Record<ChunkIdAlgorithm, number>> = { blake3: 1, 'hmac-sha256': 2 };

/** What all packs of a vault share. */
export interface PackContext {
  readonly vaultId: Uint8Array;
  readonly chunkId: ChunkIdAlgorithm;
  /** Version of the key that the pack is encrypted with; default 0. */
  readonly keyVersion?: number;
}

function fieldsOf(context: PackContext, { kind, ulid, generation }: PackName): PackEndFields {
  const algorithms = new ByteWriter(6)
    .u16(FORMAT_VERSION)
    .u8(KINDS[kind])
    .u8(CIPHER_AES_256_GCM)
    .u8(COMPRESSION_ZSTD)
    .u8(CHUNK_IDS[context.chunkId])
    .finish();
  return { algorithms, keyVersion: context.keyVersion ?? 0, ulid, generation };
}

export function packHeader(context: PackContext, pack: PackName): Buffer {
  return encodeHeader({ ...fieldsOf(context, pack), vaultId: context.vaultId });
}

export function packTrailer(
  context: PackContext,
  pack: PackName,
  { offset, sealed }: { readonly offset: number; readonly sealed: Uint8Array },
): Buffer {
  const footer = { offset, length: sealed.length, crc: crc32(sealed) };
  return encodeTrailer({ ...fieldsOf(context, pack), footer });
}

export interface FooterRange extends FooterPlace {
  /** Version of the key that the pack is encrypted with. */
  readonly keyVersion: number;
}

/**
 * Returns where the footer lies, from the last 64 bytes of a pack of `objectSize` bytes.
 * @throws Malformed
 */
export function parseTrailer(
  context: PackContext,
  pack: PackName,
  trailer: Uint8Array,
  objectSize: number,
): FooterRange {
  const fields = decodeTrailer(trailer, objectSize);
  const { algorithms } = fieldsOf(context, pack);
  demand(Buffer.compare(fields.algorithms, algorithms) === 0, 'the trailer is of another kind');
  requireOf(pack, 'trailer', fields);
  const { footer, keyVersion } = fields;
  demand(objectSize <= PACK_BYTES_MAX, 'the pack is too large');
  demand(footer.length > TAG_BYTES && footer.length <= FOOTER_BYTES_MAX, 'the footer has no size');
  return { ...footer, keyVersion };
}

/** A frame as the footer has it. */
export interface FrameEntry {
  /** Length of the ciphertext with its tag. */
  readonly sealedBytes: number;
  readonly rawBytes: number;
  readonly slots: number;
  readonly compressed: boolean;
}

export interface FooterContent {
  readonly frames: readonly FrameEntry[];
  /** By slot: sectors (data) or bytes (metadata); 0 for a missing slot. */
  readonly sizes: Uint32Array | readonly number[];
  /** By slot: 16 bytes, unused for missing slots. */
  readonly ids: Uint8Array;
}

export function encodeFooter({ frames, sizes, ids }: FooterContent): Buffer {
  const writer = new ByteWriter(64 + frames.length * 8 + sizes.length * 18);
  writer.u8(FOOTER_LAYOUT).varint(frames.length);
  for (const { sealedBytes, rawBytes, slots, compressed } of frames) {
    writer
      .varint(sealedBytes)
      .varint(rawBytes)
      .varint(slots * 2 + (compressed ? 1 : 0));
  }
  for (const size of sizes) {
    writer.varint(size);
  }
  for (let slot = 0; slot < sizes.length; slot++) {
    if (sizes[slot] !== 0) {
      writer.bytes(ids.subarray(slot * ID_BYTES, (slot + 1) * ID_BYTES));
    }
  }
  return writer.varint(0).finish();
}

/**
 * Decodes the footer of a pack and checks that it adds up.
 * @param footerOffset where the frames must end
 * @throws Malformed
 */
export function decodeFooter(kind: PackKind, plain: Uint8Array, footerOffset: number): PackFooter {
  const reader = new ByteReader(plain);
  demand(reader.u8() === FOOTER_LAYOUT, 'the footer has an unknown layout');
  const frames: FrameEntry[] = [];
  const frameCount = reader.varint(FRAMES_MAX);
  let slotCount = 0;
  let offset = HEADER_BYTES;
  for (let i = 0; i < frameCount; i++) {
    const sealedBytes = reader.varint(PACK_BYTES_MAX);
    const rawBytes = reader.varint(FRAME_RAW_BYTES_MAX[kind]);
    const last = reader.varint(2 * SLOTS_MAX + 1);
    const slots = Math.floor(last / 2);
    frames.push({ sealedBytes, rawBytes, slots, compressed: last % 2 === 1 });
    slotCount += slots;
    offset += PREFIX_BYTES + sealedBytes;
  }
  demand(slotCount <= SLOTS_MAX, 'there are too many slots');
  demand(offset === footerOffset, 'the frames do not end where the footer begins');
  const sizes = new Uint32Array(slotCount);
  for (let slot = 0; slot < slotCount; slot++) {
    sizes[slot] = reader.varint(FRAME_RAW_BYTES_MAX[kind]);
  }
  const ids = sizes.includes(0)
    ? idsWithGaps(reader, sizes)
    : Uint8Array.from(reader.bytes(slotCount * ID_BYTES));
  demand(reader.varint() === 0, 'it has parts that this program does not know');
  reader.end();
  return new PackFooter(kind, { frames, sizes, ids });
}

function idsWithGaps(reader: ByteReader, sizes: Uint32Array): Uint8Array {
  const ids = new Uint8Array(sizes.length * ID_BYTES);
  for (const [slot, size] of sizes.entries()) {
    if (size > 0) {
      ids.set(reader.bytes(ID_BYTES), slot * ID_BYTES);
    }
  }
  return ids;
}

export interface PackFrame extends FrameEntry {
  readonly index: number;
  /** Offset of the prefix from the start of the pack. */
  readonly offset: number;
  readonly firstSlot: number;
}

/** Where everything lies in a pack. */
export class PackFooter {
  readonly frames: readonly PackFrame[];
  readonly sizes: Uint32Array;
  readonly ids: Uint8Array;
  /** By slot: the index of its frame. */
  readonly frameOf: Uint16Array;
  /** By slot: its offset in bytes inside the raw frame. */
  readonly offsetOf: Uint32Array;

  /** @throws Malformed if the sizes of the slots do not add up to their frames */
  constructor(kind: PackKind, { frames, sizes, ids }: FooterContent) {
    this.sizes = Uint32Array.from(sizes);
    this.ids = ids;
    this.frameOf = new Uint16Array(sizes.length);
    this.offsetOf = new Uint32Array(sizes.length);
    const unit = kind === 'data' ? SECTOR_BYTES : 1;
    const places: PackFrame[] = [];
    let offset = HEADER_BYTES;
    let slot = 0;
    for (const [index, frame] of frames.entries()) {
      let raw = 0;
      const firstSlot = slot;
      for (const end = slot + frame.slots; slot < end; slot++) {
        this.frameOf[slot] = index;
        this.offsetOf[slot] = raw;
        raw += (this.sizes[slot] ?? 0) * unit;
      }
      demand(raw === frame.rawBytes, 'the slots do not add up to their frame');
      places.push({ ...frame, index, offset, firstSlot });
      offset += PREFIX_BYTES + frame.sealedBytes;
    }
    this.frames = places;
  }

  get slots(): number {
    return this.sizes.length;
  }

  /** Returns the size of a slot in sectors or bytes, 0 if this generation does not have it. */
  size(slot: number): number {
    return this.sizes[slot] ?? 0;
  }

  id(slot: number): Uint8Array {
    return this.ids.subarray(slot * ID_BYTES, (slot + 1) * ID_BYTES);
  }

  /** Compares in place, because restores call this for every chunk. */
  hasId(slot: number, id: Uint8Array): boolean {
    const start = slot * ID_BYTES;
    for (let at = 0; at < ID_BYTES; at++) {
      if (this.ids[start + at] !== id[at]) {
        return false;
      }
    }
    return true;
  }

  /** Estimate of the memory it takes. */
  get bytes(): number {
    return 200 + this.sizes.length * 26 + this.frames.length * 120;
  }
}
