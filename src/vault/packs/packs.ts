import type { Fault } from '../../kernel/fault.ts';
import { GarbageRounds } from '../../kernel/memory/garbage.ts';
import { SilentLog, type Log } from '../../kernel/log.ts';
import { Shared } from '../../kernel/waiting/shared.ts';
import type { Aliases } from './aliases.ts';
import { parseOr } from '../bytes/binary.ts';
import type { FooterCache, PackTail } from './footer-cache.ts';
import { openFrame, type FrameKeys } from './frame.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import { packKey, packPrefix, parsePackKey, type PackName } from '../format/object-names.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { OpenPack, PlacedSlot, SlotReference } from './open-pack.ts';
import { corrupt, damagedFrame, missing } from './pack-faults.ts';
import {
  PREFIX_BYTES,
  TRAILER_BYTES,
  type FooterPlace,
  type FramePlace,
  type PackContext,
} from './pack-layout.ts';
import type { PackNumbers } from './pack-numbers.ts';
import { openEnd, packKeys, placeFooter } from './pack-tail.ts';
import { Recent } from '../../kernel/memory/lru.ts';
import { SlotPlaces } from './slot-places.ts';

export type { OpenPack, PlacedSlot, SlotReference } from './open-pack.ts';
export { corrupt, damagedFrame, missing, wrongSlot } from './pack-faults.ts';

/** Enough for the footer of a usual pack, or for a whole small one. */
const TAIL_BYTES = 64 * 1024;
const FOOTERS_BYTES_MAX = 64 * 1024 * 1024;
/** Each footer leaves 70 KB of dead buffers behind, encrypted and decrypted. */
const FOOTERS_PER_COLLECTION = { young: 16, all: 256, room: 2048 };

/** What all parts of a vault share. */
export interface VaultBase {
  readonly store: ObjectStore;
  readonly keys: KeyTree;
  readonly context: PackContext;
  readonly numbers: PackNumbers;
}

/** Reads packs: footers, which it keeps, and frames. */
export class Packs {
  readonly base: VaultBase;
  readonly #cache: FooterCache | undefined;
  readonly #open: Recent<number, OpenPack>;
  readonly #opening = new Shared<number, OpenPack>();
  readonly #places: SlotPlaces;
  readonly #garbage = new GarbageRounds(FOOTERS_PER_COLLECTION);
  /** GETs sent and bytes received. */
  readonly traffic = { requests: 0, bytes: 0 };

  constructor(
    base: VaultBase,
    cache?: FooterCache,
    log: Log = new SilentLog(),
    footersBytesMax = FOOTERS_BYTES_MAX,
  ) {
    this.base = base;
    this.#open = new Recent(footersBytesMax);
    this.#cache = cache;
    this.#places = new SlotPlaces(this, log);
  }

  /** What `alias/` said when it was last read. */
  get aliases(): Aliases {
    return this.#places.aliases;
  }

  /**
   * Returns keys for a pack that is being written; an existing pack may have an older key version.
   */
  frameKeys(name: PackName): FrameKeys {
    return packKeys(this.base, name, this.base.keys.version);
  }

  /** @throws Fault `vault.pack-missing`, `vault.pack-corrupt` */
  async open(number: number, signal: AbortSignal): Promise<OpenPack> {
    return (
      this.#open.get(number) ??
      this.#opening.do(number, signal, async (reading) => this.#read(number, reading))
    );
  }

  /**
   * Returns where the content of a slot is. Call it for each use: packs can be compacted and merged
   * at any time, and then the slot lies in another object.
   * @throws Fault `vault.pack-missing`, `vault.pack-corrupt`
   */
  async place(reference: SlotReference, signal: AbortSignal): Promise<PlacedSlot> {
    return this.#places.place(reference, signal);
  }

  /**
   * Uses a slot where it is. If the object turns out gone or damaged, looks for the slot in other
   * generations and under other names.
   */
  async withSlot<T>(
    reference: SlotReference,
    signal: AbortSignal,
    use: (placed: PlacedSlot) => Promise<T>,
  ): Promise<T> {
    return this.#places.withSlot(reference, signal, use);
  }

  /** Notes that this place is damaged: the slot is looked for elsewhere from now on. */
  async avoid(placed: PlacedSlot, fault: Fault): Promise<void> {
    await this.#places.avoid(placed, fault);
  }

  /** Drops an object that is gone from memory and cache. */
  async forget({ name, objectKey }: Pick<OpenPack, 'name' | 'objectKey'>): Promise<void> {
    const number = this.base.numbers.find(name.ulid);
    if (number !== undefined) {
      this.#open.delete(number);
    }
    this.#places.forget({ name, objectKey });
    await this.#cache?.remove(objectKey);
  }

  /** Learns a pack of this process whose PUT returned. */
  async learn(number: number, pack: PackTail): Promise<void> {
    const name = this.base.numbers.name(number);
    this.#keep(number, this.#decode(name, pack));
    await this.#cacheTail(name, pack);
  }

  /** Reads a part of a pack that is known to exist. */
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

  /** Returns where workers can read a part of a pack themselves, if the store has it in a file. */
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
   * Checks by the trailer alone that a pack has its full length.
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
   * Opens exactly this object, read from the store past all caches.
   * @returns undefined if it is not there
   * @throws Fault `vault.pack-corrupt`
   */
  async openExact(name: PackName, signal: AbortSignal): Promise<OpenPack | undefined> {
    const tail = await this.#fetchTail(name, signal);
    return tail && this.#decode(name, tail);
  }

  /**
   * Opens an object that was just listed; uses what is cached of it, because objects never change.
   */
  async openListed(name: PackName, signal: AbortSignal): Promise<OpenPack | undefined> {
    const kept = await this.#fromCache(name);
    if (kept !== undefined) {
      return kept;
    }
    const tail = await this.#fetchTail(name, signal);
    const pack = tail && this.#decode(name, tail);
    if (tail !== undefined) {
      await this.#cacheTail(name, tail);
    }
    return pack;
  }

  /**
   * Returns the raw bytes of one frame, decrypted in this thread: for metadata and single reads.
   */
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
    for (const other of tail === undefined ? await this.generations(name, signal) : []) {
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
    const pack = await this.#fromCache(name);
    if (pack !== undefined) {
      this.#keep(number, pack);
    }
    return pack;
  }

  async #fromCache(name: PackName): Promise<OpenPack | undefined> {
    const tail = await this.#cache?.get(packKey(name));
    if (tail === undefined) {
      return undefined;
    }
    try {
      return this.#decode(name, tail);
    } catch {
      // A damaged file in the cache counts as missing: the vault has the truth.
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

  /** Lists the generations of a logical pack in the store, newest first. */
  async generations(
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

  #place(name: PackName, pack: PackTail): FooterPlace {
    return parseOr(
      (why, cause) => corrupt(name, why, cause),
      () => placeFooter(this.base, name, pack),
    );
  }

  #decode(name: PackName, pack: PackTail): OpenPack {
    this.#garbage.turn();
    const { keys, footer } = parseOr(
      (why, cause) => corrupt(name, why, cause),
      () => openEnd(this.base, name, pack),
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
