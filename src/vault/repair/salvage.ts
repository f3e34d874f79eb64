import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { FOOTER_INDEX, unseal } from '../bytes/aead.ts';
import { ByteReader, Malformed } from '../bytes/binary.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import type { FooterCache } from '../packs/footer-cache.ts';
import { openFrame, type FrameKeys } from '../packs/frame.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import { packKey, type PackName } from '../format/object-names.ts';
import { FOOTER_BYTES_MAX, FRAMES_MAX, KEY_VERSIONS_MAX } from '../format/limits.ts';
import type { DraftSlot } from '../packs/pack-draft.ts';
import { HEADER_BYTES, TRAILER_BYTES } from '../format/pack-ends.ts';
import {
  decodeFooter,
  PREFIX_BYTES,
  type PackFrame,
  type PackFooter,
} from '../packs/pack-layout.ts';
import { openEnd, packKeys } from '../packs/pack-tail.ts';
import type { Packs } from '../packs/packs.ts';

/** Offset of the key version in the header. */
const KEY_VERSION_OFFSET = 14;

/** Where the footer of a damaged pack came from. */
export type FooterSource = 'trailer' | 'frames' | 'cache' | 'none';

/** One slot, in the order of slot numbers. */
export interface SalvagedSlot extends DraftSlot {
  /** Undefined if the slot is missing or cannot be read. */
  readonly content: Uint8Array | undefined;
}

/** What can still be read of one object that holds a pack, whatever is wrong with it. */
export interface Salvage {
  readonly footer: PackFooter | undefined;
  readonly footerSource: FooterSource;
  /**
   * By slot number, without slots that cannot be read. Empty without a footer: nothing else tells
   * where slots begin.
   */
  readonly slots: readonly SalvagedSlot[];
  /** How many frames decrypt, of those that could be found. */
  readonly wholeFrames: number;
}

/**
 * Reads what can be read. Damage to the header, prefixes and trailer costs nothing: they are
 * rebuilt from what the key and the footer say. If the footer is damaged, it looks in the cache of
 * this machine; without a footer the frames still decrypt, but nothing tells where one slot ends
 * and the next begins. A pack takes about a second, and other work runs between frames.
 */
export async function salvagePack(
  packs: Packs,
  name: PackName,
  object: Uint8Array,
  cache?: FooterCache,
): Promise<Salvage> {
  const found =
    footerByTrailer(packs, name, object) ??
    footerBehindFrames(packs, name, object) ??
    (await footerFromCache(packs, name, cache));
  if (found === undefined) {
    return { footer: undefined, footerSource: 'none', slots: [], wholeFrames: 0 };
  }
  const { footer, keys, source } = found;
  const slots: SalvagedSlot[] = [];
  let wholeFrames = 0;
  for (const frame of footer.frames) {
    const raw = frameContent(keys, frame, object);
    wholeFrames += raw === undefined ? 0 : 1;
    for (let slot = frame.firstSlot; slot < frame.firstSlot + frame.slots; slot++) {
      slots.push(slotOf(name, footer, slot, raw));
    }
    await setImmediate();
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
  /** Keys of the version that opened the footer. */
  readonly keys: FrameKeys;
  readonly source: FooterSource;
}

function footerByTrailer(
  { base }: Packs,
  name: PackName,
  object: Uint8Array,
): FoundFooter | undefined {
  const end = { objectSize: object.length, tail: object };
  return orUndefined(() => ({ ...openEnd(base, name, end), source: 'trailer' }));
}

/**
 * Finds the footer without the trailer: every frame says where the next one begins, and the footer
 * follows the last. The key version is the one in the header, or any that makes the tag of the
 * footer right.
 */
function footerBehindFrames(
  { base }: Packs,
  name: PackName,
  object: Uint8Array,
): FoundFooter | undefined {
  const offset = endOfFrames(object);
  const sealed = object.subarray(offset, Math.max(offset, object.length - TRAILER_BYTES));
  if (sealed.length > FOOTER_BYTES_MAX) {
    return undefined;
  }
  for (const version of versionsToTry(base.keys, object)) {
    const keys = packKeys(base, name, version);
    const found = orUndefined(() => {
      const plain = unseal({ key: keys.key, index: FOOTER_INDEX, additional: keys.header }, sealed);
      return plain && { footer: decodeFooter(name.kind, plain, offset), keys };
    });
    if (found !== undefined) {
      return { ...found, source: 'frames' };
    }
  }
  return undefined;
}

/** Returns where the first thing begins that does not look like the next frame. */
function endOfFrames(object: Uint8Array): number {
  const bytes = Buffer.from(object.buffer, object.byteOffset, object.length);
  const end = object.length - TRAILER_BYTES;
  let offset = HEADER_BYTES;
  for (let index = 0; index < FRAMES_MAX && offset + PREFIX_BYTES <= end; index++) {
    if (bytes.readUInt32LE(offset) !== index) {
      break;
    }
    offset += PREFIX_BYTES + bytes.readUInt32LE(offset + 4);
  }
  return offset;
}

/** Tries the version in the header first, which may be damaged itself. */
function versionsToTry(keys: KeyTree, object: Uint8Array): Iterable<number> {
  const header = new ByteReader(object.subarray(KEY_VERSION_OFFSET, HEADER_BYTES));
  const said = header.left < 2 ? [] : [header.u16()].filter((version) => keys.has(version));
  const all = Array.from({ length: KEY_VERSIONS_MAX }, (_, index) => index);
  return new Set([...said, ...all.filter((version) => keys.has(version)).reverse()]);
}

async function footerFromCache(
  { base }: Packs,
  name: PackName,
  cache: FooterCache | undefined,
): Promise<FoundFooter | undefined> {
  const kept = await cache?.get(packKey(name));
  return kept && orUndefined(() => ({ ...openEnd(base, name, kept), source: 'cache' }));
}

/**
 * Rebuilds the prefix: its index and length are known, and the tag proves more than its checksum.
 */
function frameContent(
  keys: FrameKeys,
  frame: PackFrame,
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

/** Returns undefined for damage, which is expected here; throws anything else. */
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
