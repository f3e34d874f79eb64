import { crc32 } from 'node:zlib';
import { FOOTER_INDEX, unseal } from '../aead.ts';
import { Malformed } from '../binary.ts';
import { SECTOR_BYTES } from '../chunk-cut.ts';
import type { FooterCache } from '../footer-cache.ts';
import { openFrame, type FrameKeys } from '../frame.ts';
import { packKey, type PackName } from '../layout.ts';
import { FRAMES_MAX } from '../limits.ts';
import type { DraftSlot } from '../pack-draft.ts';
import {
  decodeFooter,
  HEADER_BYTES,
  parseTrailer,
  PREFIX_BYTES,
  TRAILER_BYTES,
  type FramePlace,
  type PackFooter,
} from '../pack-layout.ts';
import type { Packs } from '../packs.ts';

/** Where the footer of a damaged pack came from. */
export type FooterSource = 'trailer' | 'frames' | 'cache' | 'none';

/** One slot, in the order of their numbers. */
export interface SalvagedSlot extends DraftSlot {
  /** Undefined: it is missing, or nobody can read it. */
  readonly content: Uint8Array | undefined;
}

/** What can still be read of one object that holds a pack, whatever is wrong with it. */
export interface Salvage {
  readonly footer: PackFooter | undefined;
  readonly footerSource: FooterSource;
  /** By slot; missing what cannot be read. Empty without a footer: nothing else tells where slots begin. */
  readonly slots: readonly SalvagedSlot[];
  /** Frames that decrypt, of those that could be found. */
  readonly wholeFrames: number;
}

/**
 * Reads what can be read. Damage of header, prefixes and trailer costs nothing: they are made anew from what the key and
 * the footer say. A damaged footer is looked for in the cache of this machine; without it the frames
 * still decrypt, but nothing tells where one slot ends and the next begins.
 */
export async function salvagePack(
  packs: Packs,
  name: PackName,
  object: Uint8Array,
  cache?: FooterCache,
): Promise<Salvage> {
  const keys = packs.frameKeys(name);
  const found =
    footerByTrailer(packs, name, object, keys) ??
    footerBehindFrames(name, object, keys) ??
    (await footerFromCache(packs, name, cache, keys));
  if (found === undefined) {
    return { footer: undefined, footerSource: 'none', slots: [], wholeFrames: 0 };
  }
  const { footer, source } = found;
  const slots: SalvagedSlot[] = [];
  let wholeFrames = 0;
  for (const frame of footer.frames) {
    const raw = frameContent(keys, frame, object);
    wholeFrames += raw === undefined ? 0 : 1;
    for (let slot = frame.firstSlot; slot < frame.firstSlot + frame.slots; slot++) {
      slots.push(slotOf(name, footer, slot, raw));
    }
  }
  return { footer, footerSource: source, slots, wholeFrames };
}

function slotOf(
  { kind }: PackName,
  footer: PackFooter,
  slot: number,
  raw: Uint8Array | undefined,
): SalvagedSlot {
  const size = footer.size(slot);
  const offset = footer.offsetOf[slot] ?? 0;
  const length = size * (kind === 'data' ? SECTOR_BYTES : 1);
  const content = size === 0 ? undefined : raw?.subarray(offset, offset + length);
  return { id: footer.id(slot), size, content };
}

interface FoundFooter {
  readonly footer: PackFooter;
  readonly source: FooterSource;
}

function footerByTrailer(
  { base }: Packs,
  name: PackName,
  object: Uint8Array,
  keys: FrameKeys,
): FoundFooter | undefined {
  return orUndefined(() => {
    const trailer = object.subarray(Math.max(0, object.length - TRAILER_BYTES));
    const { offset, length } = parseTrailer(base.context, name, trailer, object.length);
    const footer = openFooter(name, keys, object.subarray(offset, offset + length), offset);
    return footer && { footer, source: 'trailer' };
  });
}

/** The trailer does not tell, but every frame says where the next one begins, and the footer comes after the last. */
function footerBehindFrames(
  name: PackName,
  object: Uint8Array,
  keys: FrameKeys,
): FoundFooter | undefined {
  const bytes = Buffer.from(object.buffer, object.byteOffset, object.length);
  const end = object.length - TRAILER_BYTES;
  let offset = HEADER_BYTES;
  for (let index = 0; index <= FRAMES_MAX && offset + PREFIX_BYTES <= end; index++) {
    const at = offset;
    const footer = orUndefined(() => openFooter(name, keys, object.subarray(at, end), at));
    if (footer !== undefined) {
      return { footer, source: 'frames' };
    }
    if (bytes.readUInt32LE(offset) !== index) {
      return undefined;
    }
    offset += PREFIX_BYTES + bytes.readUInt32LE(offset + 4);
  }
  return undefined;
}

async function footerFromCache(
  { base }: Packs,
  name: PackName,
  cache: FooterCache | undefined,
  keys: FrameKeys,
): Promise<FoundFooter | undefined> {
  const kept = await cache?.get(packKey(name));
  if (kept === undefined) {
    return undefined;
  }
  return orUndefined(() => {
    const { tail, objectSize } = kept;
    const trailer = tail.subarray(Math.max(0, tail.length - TRAILER_BYTES));
    const { offset, length, crc } = parseTrailer(base.context, name, trailer, objectSize);
    const start = offset - (objectSize - tail.length);
    const sealed = tail.subarray(start, start + length);
    const footer = crc32(sealed) === crc ? openFooter(name, keys, sealed, offset) : undefined;
    return footer && { footer, source: 'cache' };
  });
}

function openFooter(
  { kind }: PackName,
  keys: FrameKeys,
  sealed: Uint8Array,
  offset: number,
): PackFooter | undefined {
  const place = { key: keys.key, index: FOOTER_INDEX, additional: keys.header };
  const plain = unseal(place, sealed);
  return plain && decodeFooter(kind, plain, offset);
}

/** The prefix is made anew: its index and length are known, and its checksum only tells what the tag tells better. */
function frameContent(
  keys: FrameKeys,
  frame: FramePlace,
  object: Uint8Array,
): Uint8Array | undefined {
  const bytes = Buffer.from(
    object.subarray(frame.offset, frame.offset + PREFIX_BYTES + frame.sealedBytes),
  );
  if (bytes.length !== PREFIX_BYTES + frame.sealedBytes) {
    return undefined;
  }
  bytes.writeUInt32LE(frame.index, 0);
  bytes.writeUInt32LE(frame.sealedBytes, 4);
  bytes.writeUInt32LE(crc32(bytes.subarray(PREFIX_BYTES)), 8);
  return orUndefined(() => openFrame(keys, frame, bytes));
}

/** Damage is what this file is about; anything else is a bug and is thrown. */
function orUndefined<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Malformed) {
      return undefined;
    }
    throw error;
  }
}
