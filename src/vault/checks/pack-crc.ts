import { crc32 } from 'node:zlib';
import { Malformed } from '../bytes/binary.ts';
import { packKey, type PackName } from '../format/object-names.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
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
import { SequentialRead } from './sequential-read.ts';

/** What is wrong with a pack according to its checksums. */
export interface CrcDamage {
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

/**
 * Checks a pack by its checksums: header, every frame, footer, trailer, and that they fit together.
 * Needs no key, so it can run where the store is. It cannot tell whether somebody replaced the
 * content on purpose.
 */
export async function checkPackCrc(
  store: ObjectStore,
  name: PackName,
  signal: AbortSignal,
): Promise<CrcCheck> {
  const key = packKey(name);
  const read = new SequentialRead(store, key, signal);
  const damage: CrcDamage[] = [];
  const start = await read.at(0, HEADER_BYTES);
  if (start === undefined) {
    damage.push({ why: 'it is not there' });
  }
  const frames = start && (await checkParts(read, { name, start, damage }, signal));
  return { key, bytes: read.bytes, requests: read.requests, frames: frames ?? 0, damage };
}

async function checkParts(
  read: SequentialRead,
  { name, start, damage }: { name: PackName; start: Buffer; damage: CrcDamage[] },
  signal: AbortSignal,
): Promise<number> {
  const header = unlessMalformed(damage, () => {
    const fields = decodeHeader(start);
    requireOf(name, 'header', fields);
    return fields;
  });
  const end = await endOf(read);
  const footer = unlessMalformed(damage, () => {
    const fields = decodeTrailer(end, read.objectSize);
    requireOf(name, 'trailer', fields);
    if (header !== undefined) {
      requireSame(header, fields);
    }
    return fields.footer;
  });
  const frames = await checkFrames(read, footer?.offset, damage, signal);
  if (footer !== undefined) {
    const sealed = await read.at(footer.offset, footer.length);
    if (sealed?.length !== footer.length || crc32(sealed) !== footer.crc) {
      damage.push({ why: 'the footer does not match its checksum' });
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

function unlessMalformed<T>(damage: CrcDamage[], parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof Malformed)) {
      throw error;
    }
    damage.push({ why: error.message });
    return undefined;
  }
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
    damage.push({ frame, why: `frame ${String(frame)}: ${why}` });
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
