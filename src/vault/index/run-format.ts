import { crc32 } from 'node:zlib';
import { ByteReader, ByteWriter, demand } from '../bytes/binary.ts';
import type { PackName } from '../format/object-names.ts';
import { ulidBytes } from '../bytes/ulid.ts';
import type { FuseShape } from './fuse-filter.ts';

/**
 * A run is two files in a cache folder. `NAME.records` has records of 14 bytes, sorted by the first
 * word of the id. `NAME.run` has a header, the table of packs, the first record of each bucket, the
 * shapes of the filters, and the filters. Records need no checksum: a hit counts only if an
 * authenticated footer confirms it, and a miss costs bytes.
 */

const MAGIC = Buffer.from('HKRUN000');
export const RUN_HEADER_BYTES = 64;
/** ULID, u32 generation, rand. */
export const RUN_PACK_BYTES = 36;
export const RUN_SHAPE_BYTES = 16;
/** Average number of records in a bucket, which is what a lookup reads. */
const BUCKET_RECORDS = 128;
/** 2^11 buckets, about 260,000 records, share a filter. */
const SEGMENT_BUCKET_BITS = 11;
const BUCKET_BITS_MAX = 26;
const PACKS_MAX = 2 ** 20;
const FILTER_BYTES_MAX = 2 ** 32 - 1;
/**
 * Larger runs have smaller fingerprints: memory counts, and a wrong guess costs a read of 2 KiB.
 */
const FINGERPRINTS = [
  { recordsMax: 2 ** 24, bits: 8 },
  { recordsMax: 2 ** 27, bits: 4 },
  { recordsMax: Infinity, bits: 3 },
];

export interface RunShape {
  readonly records: number;
  readonly packs: number;
  readonly bucketBits: number;
  readonly segmentBits: number;
  readonly fingerprintBits: number;
}

/** Lays out a run of about this many records. */
export function runShape(records: number, packs: number): RunShape {
  const wanted = Math.round(Math.log2(Math.max(1, records / BUCKET_RECORDS)));
  const bucketBits = Math.min(BUCKET_BITS_MAX, wanted);
  return {
    records,
    packs,
    bucketBits,
    segmentBits: Math.max(0, bucketBits - SEGMENT_BUCKET_BITS),
    fingerprintBits: FINGERPRINTS.find(({ recordsMax }) => records <= recordsMax)?.bits ?? 3,
  };
}

/** Bytes between the header and the filters. */
export function tableBytes({ packs, bucketBits, segmentBits }: RunShape): number {
  return packs * RUN_PACK_BYTES + (2 ** bucketBits + 1) * 4 + 2 ** segmentBits * RUN_SHAPE_BYTES;
}

export interface RunHeader extends RunShape {
  readonly filterBytes: number;
  /** CRC-32 of everything after the header. */
  readonly crc: number;
}

export function encodeRunHeader(header: RunHeader): Buffer {
  const writer = new ByteWriter(RUN_HEADER_BYTES)
    .bytes(MAGIC)
    .u32(header.bucketBits)
    .u32(header.segmentBits)
    .u32(header.fingerprintBits)
    .u32(header.packs)
    .u32(header.records)
    .u32(header.filterBytes)
    .u32(header.crc)
    .bytes(Buffer.alloc(RUN_HEADER_BYTES - 40));
  return writer.u32(crc32(writer.finish())).finish();
}

/** @throws Malformed */
export function decodeRunHeader(bytes: Uint8Array): RunHeader {
  demand(bytes.length === RUN_HEADER_BYTES, 'the header is cut short');
  const reader = new ByteReader(bytes);
  demand(reader.bytes(8).equals(MAGIC), 'it is no run');
  const end = RUN_HEADER_BYTES - 4;
  demand(
    new ByteReader(bytes.subarray(end)).u32() === crc32(bytes.subarray(0, end)),
    'the header does not match its checksum',
  );
  const [bucketBits, segmentBits, fingerprintBits] = [reader.u32(), reader.u32(), reader.u32()];
  const header = {
    bucketBits,
    segmentBits,
    fingerprintBits,
    packs: reader.u32(),
    records: reader.u32(),
    filterBytes: reader.u32(),
    crc: reader.u32(),
  };
  demand(bucketBits <= BUCKET_BITS_MAX && segmentBits <= bucketBits, 'it has impossible buckets');
  demand(fingerprintBits >= 1 && fingerprintBits <= 8, 'it has impossible filters');
  demand(header.packs <= PACKS_MAX && header.filterBytes <= FILTER_BYTES_MAX, 'it is too large');
  return header;
}

export function encodeRunPack({ ulid, generation, rand }: PackName): Buffer {
  return new ByteWriter(RUN_PACK_BYTES)
    .bytes(ulidBytes(ulid))
    .u32(generation)
    .bytes(Buffer.from(rand, 'hex'))
    .finish();
}

export function encodeShape({ seed, window, starts }: FuseShape, offset: number): Buffer {
  return new ByteWriter(RUN_SHAPE_BYTES).u32(seed).u32(window).u32(starts).u32(offset).finish();
}
