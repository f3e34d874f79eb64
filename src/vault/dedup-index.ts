import { setImmediate } from 'node:timers/promises';
import { isFault } from '../kernel/fault.ts';
import { ID_BYTES } from './chunk-id.ts';
import type { FooterCache } from './footer-cache.ts';
import { idWords, IndexTable, type SlotPlace } from './index-table.ts';
import { packKey, parsePackKey, PREFIXES } from './layout.ts';
import type { PackFooter } from './pack-layout.ts';
import { PACK_UNUSABLE, PACK_USABLE } from './pack-numbers.ts';
import type { Packs, VaultBase } from './packs.ts';
import type { SlotRange, SlotSet } from './slot-set.ts';

const CAPACITY_FIRST = 2 ** 16;
/** Entries moved between two turns of the event loop: about 5 ms. */
const ENTRIES_PER_TURN = 16_384;
const FOOTERS_AT_ONCE = 16;

/**
 * Which chunks the vault has. Derived from pack footers and disposable: a chunk that is not found
 * here is stored again, which costs bytes and never correctness.
 */
export class DedupIndex {
  readonly #base: VaultBase;
  readonly #packs: Packs;
  readonly #cache: FooterCache | undefined;
  #table = IndexTable.ofCapacity(CAPACITY_FIRST);
  #turn: Promise<unknown> = Promise.resolve();
  #loaded = false;

  constructor(base: VaultBase, packs: Packs, cache?: FooterCache) {
    this.#base = base;
    this.#packs = packs;
    this.#cache = cache;
  }

  get memory(): SharedArrayBuffer {
    return this.#table.memory;
  }

  /** Learns the packs of the vault once: from the cache, or by listing them when that may lack some. */
  async load(excluded: SlotSet, signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#loaded) {
        return;
      }
      const listing = (await this.#cache?.needsListing()) ?? true;
      const keys = listing ? await this.#listed(signal) : ((await this.#cache?.keys()) ?? []);
      const packs: number[] = [];
      for (const key of keys) {
        const name = parsePackKey(key);
        if (name?.kind === 'data') {
          packs.push(this.#base.numbers.of(name));
        }
      }
      await this.#loadPacks(packs, excluded, signal);
      if (listing) {
        await this.#cache?.markListed();
      }
      this.#loaded = true;
    });
  }

  /** Chunks that a session of this process put into a pack. */
  async insert(
    pack: number,
    slots: { first: number; sectors: readonly number[]; ids: Uint8Array },
  ): Promise<void> {
    await this.#inTurn(async () => {
      await this.#makeRoom(slots.sectors.length);
      for (const [index, sectors] of slots.sectors.entries()) {
        const id = slots.ids.subarray(index * ID_BYTES, (index + 1) * ID_BYTES);
        this.#table.insert(idWords(id), { pack, slot: slots.first + index }, sectors);
      }
    });
  }

  /** These slots are never a hit again. */
  async exclude(slots: SlotSet, signal: AbortSignal): Promise<void> {
    const byPlace = new Map<number, SlotSet>();
    for (const ulid of slots.packs()) {
      const pack = this.#base.numbers.find(ulid);
      const ranges = slots.of(ulid);
      if (pack === undefined || ranges === undefined || !this.#loaded) {
        continue;
      }
      if (ranges === 'all' || this.#base.numbers.state(pack) !== PACK_USABLE) {
        this.#base.numbers.setState(pack, PACK_UNUSABLE);
      } else if (!(await this.#excludeById(pack, ranges, signal))) {
        byPlace.set(pack, slots);
      }
    }
    await this.#excludeByPlace(byPlace);
  }

  /** @returns false if the ids of some of the slots cannot be learned any more */
  async #excludeById(
    pack: number,
    ranges: readonly SlotRange[],
    signal: AbortSignal,
  ): Promise<boolean> {
    let footer: PackFooter;
    try {
      ({ footer } = await this.#packs.open(pack, signal));
    } catch (error) {
      if (!isFault(error) || error.kind !== 'integrity') {
        throw error;
      }
      // Removed or merged meanwhile.
      return false;
    }
    let isComplete = true;
    for (const { first, count } of ranges) {
      for (let slot = first; slot < Math.min(first + count, footer.slots); slot++) {
        // Without a size it was dropped by a compaction, and its id with it.
        isComplete &&= footer.size(slot) > 0;
        this.#table.remove(idWords(footer.id(slot)), { pack, slot });
      }
    }
    return isComplete;
  }

  /** Looks at every entry: the packs are gone, or the slots from them, and with them their ids. */
  async #excludeByPlace(packs: ReadonlyMap<number, SlotSet>): Promise<void> {
    if (packs.size === 0) {
      return;
    }
    await this.#inTurn(async () => {
      const isExcluded = ({ pack, slot }: SlotPlace): boolean =>
        packs.get(pack)?.has(this.#base.numbers.name(pack).ulid, slot) ?? false;
      for (let from = 0; from < this.#table.capacity; from += ENTRIES_PER_TURN) {
        this.#table.removeWhere(isExcluded, from, from + ENTRIES_PER_TURN);
        await setImmediate();
      }
    });
  }

  async #listed(signal: AbortSignal): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.#base.store.list(PREFIXES.data, signal)) {
      keys.push(key);
    }
    return keys;
  }

  async #loadPacks(
    packs: readonly number[],
    excluded: SlotSet,
    signal: AbortSignal,
  ): Promise<void> {
    for (let at = 0; at < packs.length; at += FOOTERS_AT_ONCE) {
      const some = packs.slice(at, at + FOOTERS_AT_ONCE);
      const footers = await Promise.all(some.map((pack) => this.#footer(pack, excluded, signal)));
      for (const [index, footer] of footers.entries()) {
        await this.#loadPack(some[index] ?? 0, footer, excluded);
      }
    }
  }

  async #footer(
    pack: number,
    excluded: SlotSet,
    signal: AbortSignal,
  ): Promise<PackFooter | undefined> {
    const name = this.#base.numbers.name(pack);
    if (excluded.of(name.ulid) === 'all' || this.#base.numbers.state(pack) !== PACK_UNUSABLE) {
      return undefined;
    }
    try {
      return (await this.#packs.open(pack, signal)).footer;
    } catch (error) {
      if (isFault(error) && error.kind === 'integrity') {
        // A damaged or vanished pack is no hit: its content will be stored again, which heals.
        await this.#cache?.remove(packKey(name));
        return undefined;
      }
      throw error;
    }
  }

  async #loadPack(pack: number, footer: PackFooter | undefined, excluded: SlotSet): Promise<void> {
    if (footer === undefined) {
      return;
    }
    const { ulid } = this.#base.numbers.name(pack);
    await this.#makeRoom(footer.slots);
    for (let slot = 0; slot < footer.slots; slot++) {
      const sectors = footer.size(slot);
      if (sectors > 0 && !excluded.has(ulid, slot)) {
        this.#table.insert(idWords(footer.id(slot)), { pack, slot }, sectors);
      }
    }
    this.#base.numbers.setState(pack, PACK_USABLE);
  }

  /** One change at a time: a table that is growing must not be written to. */
  async #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(change);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #makeRoom(count: number): Promise<void> {
    if (this.#table.hasRoomFor(count)) {
      return;
    }
    let capacity = this.#table.capacity * 2;
    while (capacity * 0.5 < count + this.#table.capacity * 0.7) {
      capacity *= 2;
    }
    const larger = IndexTable.ofCapacity(capacity);
    for (let from = 0; from < this.#table.capacity; from += ENTRIES_PER_TURN) {
      this.#table.copyTo(larger, from, from + ENTRIES_PER_TURN);
      await setImmediate();
    }
    this.#table = larger;
  }
}
