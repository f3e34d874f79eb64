import { crc32 } from 'node:zlib';
import { ByteReader } from '../bytes/binary.ts';
import { parsePackKey } from '../format/object-names.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { FRAMES_MAX } from '../format/limits.ts';
import { HEADER_BYTES, PREFIX_BYTES, TRAILER_BYTES } from '../packs/pack-layout.ts';
import { ulidBytes } from '../bytes/ulid.ts';
import { SequentialRead } from './sequential-read.ts';

/** What is wrong with a pack according to its checksums. */
export interface CrcDamage {
  readonly part: 'object' | 'header' | 'frame' | 'footer' | 'trailer';
  /** Index of the damaged frame. */
  readonly frame?: number;
  readonly why: string;
}

export interface CrcCheck {
  readonly key: ObjectKey;
  readonly bytes: number;
  readonly requests: number;
  readonly frames: number;
  readonly damage: readonly CrcDamage[];
}

const HEADER_MAGIC = Buffer.from('HKPACK00');
const TRAILER_MAGIC = Buffer.from('HKPEND00');
/** Header and trailer have magic first, and then the same eight bytes. */
const COMMON = { from: 8, to: 16 };

/**
 * Checks a pack by its checksums: header, every frame, footer, trailer, and that they fit together.
 * Needs no key, so it can run where the store is. It cannot tell whether somebody replaced the
 * content on purpose.
 */
export async function checkPackCrc(
  store: ObjectStore,
  key: ObjectKey,
  signal: AbortSignal,
): Promise<CrcCheck> {
  const read = new SequentialRead(store, key, signal);
  const damage: CrcDamage[] = [];
  const header = await read.at(0, HEADER_BYTES);
  const frames =
    header === undefined
      ? missing(damage)
      : await checkParts(read, { key, header, damage }, signal);
  return { key, bytes: read.bytes, requests: read.requests, frames, damage };
}

function missing(damage: CrcDamage[]): number {
  damage.push({ part: 'object', why: 'it is not there' });
  return 0;
}

interface Checking {
  readonly key: ObjectKey;
  readonly header: Buffer;
  readonly damage: CrcDamage[];
}

async function checkParts(
  read: SequentialRead,
  { key, header, damage }: Checking,
  signal: AbortSignal,
): Promise<number> {
  const headerDamage = damageOfEnd(header, HEADER_MAGIC, key, 32);
  if (headerDamage !== undefined) {
    damage.push({ part: 'header', why: headerDamage });
  }
  const tail = await endOf(read);
  const place = footerRange(tail, { key, header, objectSize: read.objectSize });
  if (typeof place === 'string') {
    damage.push({ part: 'trailer', why: place });
  }
  const end = typeof place === 'string' ? undefined : place.offset;
  const frames = await checkFrames(read, end, damage, signal);
  if (typeof place !== 'string') {
    const footer = await read.at(place.offset, place.length);
    if (footer?.length !== place.length || crc32(footer) !== place.crc) {
      damage.push({ part: 'footer', why: 'it does not match its checksum' });
    }
  }
  return frames;
}

/**
 * Reads the window with the trailer at the end; after that, frames are read from the front again.
 */
async function endOf(read: SequentialRead): Promise<Buffer> {
  const offset = Math.max(0, read.objectSize - TRAILER_BYTES);
  return Buffer.from((await read.at(offset, TRAILER_BYTES)) ?? []);
}

function damageOfEnd(
  bytes: Buffer,
  magic: Buffer,
  key: ObjectKey,
  ulidOffset: number,
): string | undefined {
  if (bytes.length < HEADER_BYTES) {
    return 'it is cut short';
  }
  if (!bytes.subarray(0, 8).equals(magic)) {
    return 'it is none';
  }
  const reader = new ByteReader(bytes.subarray(60));
  if (reader.u32() !== crc32(bytes.subarray(0, 60))) {
    return 'it does not match its checksum';
  }
  const name = parsePackKey(key);
  const generation = bytes.readUInt32LE(48);
  const ulid = bytes.subarray(ulidOffset, ulidOffset + 16);
  const isSame =
    name !== undefined && ulid.equals(ulidBytes(name.ulid)) && generation === name.generation;
  return isSame ? undefined : 'it is of another pack';
}

function footerRange(
  tail: Buffer,
  { key, header, objectSize }: Omit<Checking, 'damage'> & { readonly objectSize: number },
): { offset: number; length: number; crc: number } | string {
  const damage = damageOfEnd(tail, TRAILER_MAGIC, key, 32);
  if (damage !== undefined) {
    return damage;
  }
  const common = tail.subarray(COMMON.from, COMMON.to);
  if (header.length === HEADER_BYTES && !header.subarray(COMMON.from, COMMON.to).equals(common)) {
    return 'it is of another kind than the header';
  }
  const place = {
    offset: tail.readUInt32LE(16),
    length: tail.readUInt32LE(24),
    crc: tail.readUInt32LE(28),
  };
  return tail.readUInt32LE(20) === 0 &&
    place.offset >= HEADER_BYTES &&
    place.offset + place.length + TRAILER_BYTES === objectSize
    ? place
    : 'the footer does not lie before it';
}

/** @param end where the footer begins, if the trailer tells */
async function checkFrames(
  read: SequentialRead,
  end: number | undefined,
  damage: CrcDamage[],
  signal: AbortSignal,
): Promise<number> {
  const limit = end ?? read.objectSize - TRAILER_BYTES;
  const note = (frame: number, why: string): void => {
    damage.push({ part: 'frame', frame, why });
  };
  let index = 0;
  let offset = HEADER_BYTES;
  for (; offset < limit; index++) {
    signal.throwIfAborted();
    const frame = await readFrame(read, { index, offset, limit });
    if (end === undefined && frame?.isNumbered !== true) {
      // Probably the footer: without a trailer nothing tells where it begins.
      return index;
    }
    if (frame === undefined) {
      note(index, 'from here on no frame can be found');
      return index;
    }
    if (!frame.isWhole) {
      note(index, 'it does not match its checksum');
    }
    offset = frame.end;
  }
  if (end !== undefined && offset !== end) {
    note(index, 'the frames do not end where they should');
  }
  return index;
}

interface ReadFrame {
  readonly isNumbered: boolean;
  readonly isWhole: boolean;
  readonly end: number;
}

/** Returns undefined if there can be no frame. */
async function readFrame(
  read: SequentialRead,
  { index, offset, limit }: { index: number; offset: number; limit: number },
): Promise<ReadFrame | undefined> {
  const prefix = await read.at(offset, PREFIX_BYTES);
  if (prefix?.length !== PREFIX_BYTES || index >= FRAMES_MAX) {
    return undefined;
  }
  const length = prefix.readUInt32LE(4);
  const end = offset + PREFIX_BYTES + length;
  if (length === 0 || end > limit) {
    return undefined;
  }
  const isNumbered = prefix.readUInt32LE(0) === index;
  const sealed = await read.at(offset + PREFIX_BYTES, length);
  const isWhole = isNumbered && sealed !== undefined && crc32(sealed) === prefix.readUInt32LE(8);
  return { isNumbered, isWhole, end };
}
