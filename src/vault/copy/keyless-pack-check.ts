import { crc32 } from 'node:zlib';
import { ByteReader, Malformed, demand } from '../bytes/binary.ts';
import { parsePackKey } from '../format/object-names.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { FRAMES_MAX } from '../format/limits.ts';
import { HEADER_BYTES, PREFIX_BYTES, TRAILER_BYTES } from '../packs/pack-layout.ts';
import { ulidBytes } from '../bytes/ulid.ts';

/** What can be checked of a pack without any key: docs/vault-format.md, section 6. */

const HEADER_MAGIC = Buffer.from('HKPACK00');
const TRAILER_MAGIC = Buffer.from('HKPEND00');

/**
 * Checks a whole pack without a key: header, every frame's index, length and checksum, footer and
 * trailer. This finds bit rot, but anybody can make bytes that pass.
 * @returns what is wrong; undefined for a whole pack
 */
export function packDamage(key: ObjectKey, pack: Uint8Array): string | undefined {
  try {
    checkPack(key, pack);
    return undefined;
  } catch (error) {
    if (error instanceof Malformed) {
      return error.message;
    }
    throw error;
  }
}

function checkPack(key: ObjectKey, pack: Uint8Array): void {
  const name = parsePackKey(key);
  demand(name !== undefined, 'its name is none of a pack');
  demand(pack.length >= HEADER_BYTES + TRAILER_BYTES, 'it is cut short');
  const header = pack.subarray(0, HEADER_BYTES);
  const trailer = pack.subarray(pack.length - TRAILER_BYTES);
  requireChecksum(header, HEADER_MAGIC, 'header');
  requireChecksum(trailer, TRAILER_MAGIC, 'trailer');
  demand(same(header.subarray(8, 16), trailer.subarray(8, 16)), 'header and trailer differ');
  for (const end of [header, trailer]) {
    demand(same(end.subarray(32, 48), ulidBytes(name.ulid)), 'it is another pack');
    demand(new ByteReader(end.subarray(48)).u32() === name.generation, 'another generation');
  }
  const reader = new ByteReader(trailer.subarray(16));
  const offset = reader.u32();
  demand(reader.u32() === 0, 'the footer is too far');
  const length = reader.u32();
  demand(
    offset >= HEADER_BYTES && offset + length + TRAILER_BYTES === pack.length,
    'the footer does not lie before the trailer',
  );
  demand(
    crc32(pack.subarray(offset, offset + length)) === reader.u32(),
    'the footer does not match its checksum',
  );
  checkFrames(pack.subarray(HEADER_BYTES, offset));
}

function checkFrames(frames: Uint8Array): void {
  const reader = new ByteReader(frames);
  for (let index = 0; reader.left > 0; index++) {
    demand(index < FRAMES_MAX, 'there are too many frames');
    demand(reader.left >= PREFIX_BYTES && reader.u32() === index, `frame ${index} is not there`);
    const length = reader.u32();
    const expected = reader.u32();
    demand(crc32(reader.bytes(length)) === expected, `frame ${index} does not match its checksum`);
  }
}

function requireChecksum(end: Uint8Array, magic: Buffer, what: string): void {
  demand(same(end.subarray(0, 8), magic), `the ${what} is not one`);
  demand(
    new ByteReader(end.subarray(60)).u32() === crc32(end.subarray(0, 60)),
    `the ${what} does not match its checksum`,
  );
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
