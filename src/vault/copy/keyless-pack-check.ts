import { crc32 } from 'node:zlib';
import { ByteReader, Malformed, demand } from '../bytes/binary.ts';
import { parsePackKey } from '../format/object-names.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { FRAMES_MAX } from '../format/limits.ts';
import {
  decodeHeader,
  decodeTrailer,
  HEADER_BYTES,
  requireOf,
  requireSame,
  TRAILER_BYTES,
} from '../format/pack-ends.ts';
import { PREFIX_BYTES } from '../packs/pack-layout.ts';

/** What can be checked of a pack without any key: docs/vault-format.md, section 6. */

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
  const header = decodeHeader(pack.subarray(0, HEADER_BYTES));
  const trailer = decodeTrailer(pack.subarray(pack.length - TRAILER_BYTES), pack.length);
  requireSame(header, trailer);
  requireOf(name, 'header', header);
  requireOf(name, 'trailer', trailer);
  const { offset, length, crc } = trailer.footer;
  demand(
    crc32(pack.subarray(offset, offset + length)) === crc,
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
