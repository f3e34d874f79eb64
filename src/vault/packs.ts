import { crc32 } from 'node:zlib';
import { Fault, isAbort, isFault } from '../kernel/fault.ts';
import { SilentLog, type Log } from '../kernel/log.ts';
import { FOOTER_INDEX, unseal } from './aead.ts';
import { Aliases } from './aliases.ts';
import { Malformed, parseOr, require } from './binary.ts';
import type { FooterCache, PackTail } from './footer-cache.ts';
import { openFrame, type FrameKeys } from './frame.ts';
import type { KeyTree } from './key-tree.ts';
import { packKey, packPrefix, parsePackKey, type PackName } from './layout.ts';
import type { ObjectKey, ObjectStore } from './object-store.ts';
import {
  decodeFooter,
  packHeader,
  parseTrailer,
  PREFIX_BYTES,
  TRAILER_BYTES,
  type FramePlace,
  type PackContext,
  type PackFooter,
} from './pack-layout.ts';
import type { PackNumbers } from './pack-numbers.ts';
import { Recent } from './recent.ts';

/** Enough for the footer of a usual pack, or for a whole small one. */
const TAIL_BYTES = 64 * 1024;
const FOOTERS_BYTES_MAX = 64 * 1024 * 1024;
/** Of objects that are open beside the one that usually serves their pack. */
const OTHER_FOOTERS_BYTES_MAX = 8 * 1024 * 1024;
/** How often a slot is looked for elsewhere: generations and packs may go one after another. */
const PLACES_TRIED_MAX = 8;

/** A pack whose footer was read and verified. */
export interface OpenPack extends FrameKeys {
  readonly name: PackName;
  readonly objectKey: ObjectKey;
  readonly objectSize: number;
  readonly footer: PackFooter;
  /** The last bytes of the object, if they were fetched with the footer: metadata packs only. */
  readonly tail?: Uint8Array;
}

/** A slot by its lasting name. */
export interface SlotReference {
  /** Number of its logical pack. */
  readonly pack: number;
  readonly slot: number;
}

/** The object that has the content of a slot: a generation of its own pack, or of one that an alias leads to. */
export interface PlacedSlot extends SlotReference {
  readonly open: OpenPack;
}

/** What all parts of a vault share. */
export interface VaultBase {
  readonly store: ObjectStore;
  readonly keys: KeyTree;
  readonly context: PackContext;
  readonly numbers: PackNumbers;
}

/** Reads packs: footers, which are kept, and frames. */
export class Packs {
  readonly base: VaultBase;
  readonly #cache: FooterCache | undefined;
  readonly #open = new Recent<number, OpenPack>(FOOTERS_BYTES_MAX);
  readonly #opening = new Map<number, Promise<OpenPack>>();
  readonly #others = new Recent<ObjectKey, OpenPack>(OTHER_FOOTERS_BYTES_MAX);
  /** Frames that did not come back as they were written, by object and index. */
  readonly #damaged = new Set<string>();
  /** Packs for which `alias/` was listed in vain. */
  readonly #withoutAlias = new Set<number>();
  readonly aliases: Aliases;
  /** GETs sent and bytes received. */
  readonly traffic = { requests: 0, bytes: 0 };

  constructor(base: VaultBase, cache?: FooterCache, log: Log = new SilentLog()) {
    this.base = base;
    this.#cache = cache;
    this.aliases = new Aliases(base, log);
  }

  /** Keys of one pack, for whoever writes or reads its frames. */
  frameKeys(name: PackName, keyVersion: number = this.base.keys.version): FrameKeys {
    return {
      key: this.base.keys.object(name.kind, packKey(name), keyVersion),
      header: packHeader({ ...this.base.context, keyVersion }, name),
    };
  }

  /** @throws Fault `vault.pack-missing`, `vault.pack-corrupt` */
  async open(number: number, signal: AbortSignal): Promise<OpenPack> {
    const open = this.#open.get(number);
    if (open !== undefined) {
      return open;
    }
    const shared = this.#opening.get(number);
    if (shared !== undefined) {
      try {
        return await shared;
      } catch (error) {
        // Whoever asked first was cancelled; this caller was not.
        if (isAbort(error) && !signal.aborted) {
          return this.open(number, signal);
        }
        throw error;
      }
    }
    const opening = this.#read(number, signal).finally(() => this.#opening.delete(number));
    this.#opening.set(number, opening);
    return opening;
  }

  /**
   * Where the content of a slot is. Asked again whenever it is used: packs are compacted and merged
   * at any time, and then the same slot lies in another object.
   * @throws Fault `vault.pack-missing`, `vault.pack-corrupt`
   */
  async place({ pack, slot }: SlotReference, signal: AbortSignal): Promise<PlacedSlot> {
    let failure: unknown;
    try {
      const open = await this.open(pack, signal);
      if (this.#has(open, slot)) {
        return { pack, slot, open };
      }
      failure = missing(this.base.numbers.name(pack), slot);
    } catch (error) {
      failure = integrityOrThrow(error);
    }
    const placed = await this.#elsewhere({ pack, slot }, signal);
    if (placed === undefined) {
      throw failure;
    }
    return placed;
  }

  /**
   * Uses a slot where it is. When the object turns out gone or damaged, the slot is looked for in other
   * generations and under other names.
   */
  async withSlot<T>(
    reference: SlotReference,
    signal: AbortSignal,
    use: (placed: PlacedSlot) => Promise<T>,
  ): Promise<T> {
    let placed = await this.place(reference, signal);
    for (let tried = 1; ; tried++) {
      try {
        return await use(placed);
      } catch (error) {
        await this.#avoid(placed, integrityOrThrow(error));
        if (tried >= PLACES_TRIED_MAX) {
          throw error;
        }
        try {
          placed = await this.place(reference, signal);
        } catch (another) {
          integrityOrThrow(another);
          throw error;
        }
      }
    }
  }

  /** The object is gone: neither memory nor cache serve it any more. */
  async forget({ name, objectKey }: OpenPack): Promise<void> {
    const number = this.base.numbers.find(name.ulid);
    if (number !== undefined) {
      this.#open.delete(number);
      this.#withoutAlias.delete(number);
    }
    this.#others.delete(objectKey);
    await this.#cache?.remove(objectKey);
  }

  /** A pack of this process whose PUT returned. */
  async learn(number: number, pack: PackTail): Promise<void> {
    const name = this.base.numbers.name(number);
    this.#keep(number, this.#decode(name, pack));
    await this.#cacheTail(name, pack);
  }

  /** A part of a pack that is known to exist. */
  async range(
    pack: OpenPack,
    range: { offset: number; length: number },
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const tailOffset = pack.objectSize - (pack.tail?.length ?? 0);
    if (pack.tail !== undefined && range.offset >= tailOffset) {
      const at = range.offset - tailOffset;
      return pack.tail.subarray(at, at + range.length);
    }
    this.traffic.requests += 1;
    const part = await this.base.store.getRange(pack.objectKey, range, signal);
    if (part === undefined) {
      await this.forget(pack);
      throw missing(pack.name);
    }
    this.traffic.bytes += part.data.length;
    if (part.objectSize !== pack.objectSize || part.data.length !== range.length) {
      throw corrupt(pack.name, 'it has another size than before');
    }
    return part.data;
  }

  /** Where workers can read a part of a pack themselves, if the store has it in a file. */
  localRange(
    pack: OpenPack,
    { offset, length }: { offset: number; length: number },
  ): { path: string; offset: number; length: number } | undefined {
    const path = this.base.store.localFile?.(pack.objectKey, length);
    if (path === undefined) {
      return undefined;
    }
    this.traffic.requests += 1;
    this.traffic.bytes += length;
    return { path, offset, length };
  }

  /**
   * Checks by its trailer alone that a pack is as long as it was written.
   * @throws Fault `vault.pack-missing`, `vault.pack-corrupt`
   */
  async checkLength(name: PackName, signal: AbortSignal): Promise<void> {
    this.traffic.requests += 1;
    const range = { suffix: TRAILER_BYTES };
    const part = await this.base.store.getRange(packKey(name), range, signal);
    if (part === undefined) {
      throw missing(name);
    }
    this.traffic.bytes += part.data.length;
    this.#place(name, { objectSize: part.objectSize, tail: part.data });
  }

  /**
   * This object and no other generation, read from the store past everything that is kept.
   * @returns undefined if it is not there
   * @throws Fault `vault.pack-corrupt`
   */
  async openExact(name: PackName, signal: AbortSignal): Promise<OpenPack | undefined> {
    const tail = await this.#fetchTail(name, signal);
    return tail && this.#decode(name, tail);
  }

  /** The raw bytes of one frame, decrypted here: for metadata and single reads. */
  async frame(pack: OpenPack, frame: FramePlace, signal: AbortSignal): Promise<Uint8Array> {
    const length = PREFIX_BYTES + frame.sealedBytes;
    const sealed = await this.range(pack, { offset: frame.offset, length }, signal);
    return parseOr(
      (why, cause) => damagedFrame(pack, frame.index, why, cause),
      () => openFrame(pack, frame, sealed),
    );
  }

  async #read(number: number, signal: AbortSignal): Promise<OpenPack> {
    const name = this.base.numbers.name(number);
    const cached = await this.#cached(number, name);
    if (cached !== undefined) {
      return cached;
    }
    let tail = await this.#fetchTail(name, signal);
    let found = name;
    for (const other of tail === undefined ? await this.#generations(name, signal) : []) {
      tail ??= await this.#fetchTail(other, signal);
      found = tail === undefined ? name : other;
      if (tail !== undefined) {
        break;
      }
    }
    if (tail === undefined) {
      throw missing(name);
    }
    const pack = this.#decode(found, tail);
    this.base.numbers.rename(number, found);
    this.#keep(number, pack);
    await this.#cacheTail(found, tail);
    return pack;
  }

  async #cached(number: number, name: PackName): Promise<OpenPack | undefined> {
    const tail = await this.#cache?.get(packKey(name));
    if (tail === undefined) {
      return undefined;
    }
    try {
      const pack = this.#decode(name, tail);
      this.#keep(number, pack);
      return pack;
    } catch {
      // A damaged cache file is as good as none: the vault has the truth.
      await this.#cache?.remove(packKey(name));
      return undefined;
    }
  }

  async #fetchTail(name: PackName, signal: AbortSignal): Promise<PackTail | undefined> {
    const key = packKey(name);
    const suffix = async (length: number): Promise<PackTail | undefined> => {
      this.traffic.requests += 1;
      const part = await this.base.store.getRange(key, { suffix: length }, signal);
      this.traffic.bytes += part?.data.length ?? 0;
      return part && { objectSize: part.objectSize, tail: part.data };
    };
    const first = await suffix(TAIL_BYTES);
    if (first === undefined) {
      return undefined;
    }
    const place = this.#place(name, first);
    const needed = first.objectSize - place.offset;
    return needed <= first.tail.length ? first : suffix(needed);
  }

  /** What is in the store of a logical pack, newest generation first. */
  async #generations(
    pack: Pick<PackName, 'kind' | 'ulid'>,
    signal: AbortSignal,
  ): Promise<PackName[]> {
    const names: PackName[] = [];
    for await (const { key } of this.base.store.list(packPrefix(pack), signal)) {
      const name = parsePackKey(key);
      if (name?.ulid === pack.ulid && name.kind === pack.kind) {
        names.push(name);
      }
    }
    return names.sort((a, b) => b.generation - a.generation || (a.rand < b.rand ? 1 : -1));
  }

  #has({ footer, objectKey }: OpenPack, slot: number): boolean {
    return footer.size(slot) > 0 && !this.#damaged.has(`${objectKey}/${footer.frameOf[slot] ?? 0}`);
  }

  /** In another generation of its pack, else under another name. */
  async #elsewhere(
    { pack, slot }: SlotReference,
    signal: AbortSignal,
  ): Promise<PlacedSlot | undefined> {
    const name = this.base.numbers.name(pack);
    const own = await this.#inGeneration(name, slot, signal);
    if (own !== undefined) {
      return { pack, slot, open: own };
    }
    const start = { ulid: name.ulid, slot };
    if (this.aliases.of(start).length === 0 && !this.#withoutAlias.has(pack)) {
      await this.aliases.read(signal);
      this.#withoutAlias.add(pack);
    }
    for (const other of this.aliases.chain(start)) {
      const open = await this.#inGeneration({ kind: name.kind, ...other }, other.slot, signal);
      if (open !== undefined) {
        return { pack: this.base.numbers.of(open.name), slot: other.slot, open };
      }
    }
    return undefined;
  }

  async #inGeneration(
    pack: Pick<PackName, 'kind' | 'ulid'>,
    slot: number,
    signal: AbortSignal,
  ): Promise<OpenPack | undefined> {
    for (const name of await this.#generations(pack, signal)) {
      try {
        const open = this.#others.get(packKey(name)) ?? (await this.openExact(name, signal));
        if (open !== undefined) {
          this.#others.set(open.objectKey, open, open.footer.bytes + (open.tail?.length ?? 0));
        }
        if (open !== undefined && this.#has(open, slot)) {
          return open;
        }
      } catch (error) {
        // A damaged generation is as good as none here; whoever asked for it by name hears of it.
        integrityOrThrow(error);
      }
    }
    return undefined;
  }

  /** What was found wrong with a place, so that it is not taken again. */
  async #avoid({ open, slot }: PlacedSlot, fault: Fault): Promise<void> {
    if (fault.code === 'vault.chunk-corrupt' || fault.code === 'vault.map-corrupt') {
      this.#damaged.add(`${open.objectKey}/${open.footer.frameOf[slot] ?? 0}`);
    } else {
      await this.forget(open);
    }
  }

  #place(name: PackName, { objectSize, tail }: PackTail): ReturnType<typeof parseTrailer> {
    return parseOr(
      (why, cause) => corrupt(name, why, cause),
      () =>
        parseTrailer(
          this.base.context,
          name,
          tail.subarray(Math.max(0, tail.length - TRAILER_BYTES)),
          objectSize,
        ),
    );
  }

  #decode(name: PackName, pack: PackTail): OpenPack {
    const { offset, length, crc, keyVersion } = this.#place(name, pack);
    if (!this.base.keys.has(keyVersion)) {
      throw corrupt(name, `it names a key (${keyVersion}) that did not open this vault`);
    }
    const keys = this.frameKeys(name, keyVersion);
    const start = offset - (pack.objectSize - pack.tail.length);
    const footer = parseOr(
      (why, cause) => corrupt(name, why, cause),
      () => {
        require(start >= 0, 'its footer is cut short');
        const sealed = pack.tail.subarray(start, start + length);
        require(crc32(sealed) === crc, 'its footer does not match its checksum');
        const place = { key: keys.key, index: FOOTER_INDEX, additional: keys.header };
        const plain = unseal(place, sealed);
        if (plain === undefined) {
          throw new Malformed('its footer is not what was written');
        }
        return decodeFooter(name.kind, plain, offset);
      },
    );
    const open = { ...keys, name, objectKey: packKey(name), objectSize: pack.objectSize, footer };
    return name.kind === 'metadata' ? { ...open, tail: pack.tail } : open;
  }

  #keep(number: number, pack: OpenPack): void {
    this.#open.set(number, pack, pack.footer.bytes + (pack.tail?.length ?? 0));
  }

  async #cacheTail(name: PackName, pack: PackTail): Promise<void> {
    if (this.#cache !== undefined) {
      const { offset } = this.#place(name, pack);
      const start = offset - (pack.objectSize - pack.tail.length);
      const kept = name.kind === 'metadata' ? pack.tail : pack.tail.subarray(start);
      await this.#cache.put(packKey(name), { objectSize: pack.objectSize, tail: kept });
    }
  }
}

/** Damage and loss may be made up for by another place; anything else is thrown. */
function integrityOrThrow(error: unknown): Fault {
  if (isFault(error) && error.kind === 'integrity') {
    return error;
  }
  throw error;
}

/** The pack, or one slot of it that no generation has. */
export function missing(name: PackName, slot?: number): Fault {
  const what = slot === undefined ? '' : `Slot ${slot} of `;
  return new Fault(
    'vault.pack-missing',
    `${what === '' ? 'The pack ' : `${what}the pack `}${packKey(name)} is not in the vault. What lies in it is lost unless a copy of the vault has it; run verify to see which points are hit.`,
    { pack: packKey(name) },
  );
}

export function corrupt(name: PackName, why: string, cause?: unknown): Fault {
  return new Fault(
    'vault.pack-corrupt',
    `The pack ${packKey(name)} is damaged: ${why}. Nothing was restored from it; run verify to see which points are hit.`,
    { pack: packKey(name) },
    { cause },
  );
}

export function damagedFrame(pack: OpenPack, frame: number, why: string, cause?: unknown): Fault {
  return new Fault(
    'vault.chunk-corrupt',
    `Frame ${frame} of the pack ${pack.objectKey} is damaged: ${why}. Nothing was restored from it; run verify to see which points are hit.`,
    { pack: pack.objectKey, frame },
    { cause },
  );
}
