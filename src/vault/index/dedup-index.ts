import { join } from 'node:path';
import { SystemClock } from '../../kernel/clock.ts';
import { setImmediate } from 'node:timers/promises';
import { collectGarbage } from '../../kernel/memory/garbage.ts';
import type { FooterCache } from '../packs/footer-cache.ts';
import { idWords, IndexTable } from './index-table.ts';
import type { SlotPlace } from '../slots/slot-place.ts';
import { IndexRuns } from './index-runs.ts';
import { draftPack, draftTable } from './run-draft.ts';
import type { RunsMemory } from './chunk-lookup.ts';
import { KnownPacks } from './known-packs.ts';
import type { PackFooter } from '../packs/pack-layout.ts';
import { PACK_UNUSABLE, PACK_USABLE } from '../packs/pack-numbers.ts';
import type { Packs } from '../packs/packs.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import type { SlotLookup, SlotRange, SlotSet } from '../slots/slot-set.ts';

const CAPACITY_FIRST = 2 ** 16;
/** Entries moved between two turns of the event loop: about 5 ms. */
const ENTRIES_PER_TURN = 16_384;
const FOOTERS_AT_ONCE = 16;
const PACKS_MANY = 2000;
/** Entries of the table, 24 to 48 bytes each, so at most 50 MB. Further entries go to runs. */
const TABLE_ENTRIES_MAX = 2 ** 20;
/** Estimate of the entries of a pack: sizes the table, or sends many packs to a run at once. */
const PACK_ENTRIES_EXPECTED = 1024;

/**
 * Knows which chunks the vault has. It is derived from pack footers and disposable: a chunk that it
 * does not know is stored again, which costs bytes and never correctness.
 */
export class DedupIndex {
  readonly #clock = new SystemClock();
  readonly #base: VaultBase;
  readonly #known: KnownPacks;
  readonly #cache: FooterCache | undefined;
  #table: IndexTable;
  readonly #entriesMax: number;
  #runs: IndexRuns | undefined;
  #excluded: SlotLookup | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #loaded = false;

  /**
   * @param entriesMax size of the table in memory, a power of two; without a cache all entries must
   *   fit
   */
  constructor(base: VaultBase, packs: Packs, cache?: FooterCache, entriesMax = TABLE_ENTRIES_MAX) {
    this.#base = base;
    this.#known = new KnownPacks(packs, cache);
    this.#cache = cache;
    this.#entriesMax = entriesMax;
    this.#table = IndexTable.ofCapacity(Math.min(CAPACITY_FIRST, entriesMax));
  }

  /** Where threads look chunks up. Valid for one task, because it gets replaced. */
  get memory(): { readonly table: SharedArrayBuffer; readonly runs?: RunsMemory } {
    const runs = this.#runs?.memory;
    return { table: this.#table.memory, ...(runs === undefined ? {} : { runs }) };
  }

  /** Brings a footer to where all threads see it. A pack that cannot be read gives no hits. */
  async bring(pack: number, signal: AbortSignal): Promise<void> {
    const arena = this.#runs?.arena;
    if (arena === undefined || arena.has(pack)) {
      return;
    }
    const footer = await this.#known.footer(pack, signal);
    if (footer === undefined) {
      this.#base.numbers.setState(pack, PACK_UNUSABLE);
    } else if (!arena.has(pack)) {
      const { ulid } = this.#base.numbers.name(pack);
      const sectors = (slot: number): number =>
        this.#excluded?.has(ulid, slot) === true ? 0 : footer.size(slot);
      arena.put(pack, { slots: footer.slots, ids: footer.ids, sectors });
    }
  }

  /** Waits for background work. */
  async close(): Promise<void> {
    await this.#runs?.settle();
  }

  /**
   * Learns the packs of the vault once: from the cache, or by a listing if the cache may lack some.
   */
  async load(excluded: SlotLookup, signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#loaded) {
        return;
      }
      const { packs, listed } = await this.#known.data(signal);
      this.#excluded = excluded;
      await this.#openRuns();
      const rest = this.#useRuns(packs, excluded);
      // Grows once instead of doubling again and again; many entries go to runs.
      const expected = rest.length * PACK_ENTRIES_EXPECTED;
      await this.#makeRoom(expected < this.#entriesMax / 2 ? expected : 0);
      await this.#loadPacks(rest, excluded, signal);
      if (listed) {
        await this.#cache?.markListed();
      }
      if (packs.length > PACKS_MANY) {
        // Frees the names of packs and what they were parsed from: a job of hours would keep them.
        collectGarbage('room');
      }
      this.#loaded = true;
    });
  }

  /** Adds chunks that a session of this process put into a pack. */
  async insert(
    pack: number,
    slots: { first: number; sectors: readonly number[]; ids: Uint8Array },
  ): Promise<void> {
    await this.#inTurn(async () => {
      await this.#makeRoom(slots.sectors.length);
      this.#table.insertSlots(slots, { pack, first: slots.first });
    });
  }

  /**
   * Forgets packs that are not in the store: their chunks are stored again when they come along.
   */
  async lose(packs: Iterable<number>): Promise<void> {
    for (const pack of packs) {
      this.#base.numbers.setState(pack, PACK_UNUSABLE);
    }
    await this.#cache?.markUnlisted();
  }

  /** Makes sure that these slots are never a hit again. */
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
      } else if (this.#runs?.covers(pack) === true) {
        // It is brought again, without these slots, when it is needed.
        this.#runs.arena.remove(pack);
      } else if (!(await this.#excludeById(pack, ranges, signal))) {
        byPlace.set(pack, slots);
      }
    }
    await this.#excludeByPlace(byPlace);
  }

  /** @returns false if the ids of some slots can no longer be learned */
  async #excludeById(
    pack: number,
    ranges: readonly SlotRange[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const footer = await this.#known.footer(pack, signal);
    if (footer === undefined) {
      // The pack was removed or merged meanwhile.
      return false;
    }
    let isComplete = true;
    for (const { first, count } of ranges) {
      for (let slot = first; slot < Math.min(first + count, footer.slots); slot++) {
        // A slot without a size was dropped by a compaction, and its id with it.
        isComplete &&= footer.size(slot) > 0;
        this.#table.remove(idWords(footer.id(slot)), { pack, slot });
      }
    }
    return isComplete;
  }

  /** Checks every entry: the packs or slots are gone, and their ids with them. */
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

  async #loadPacks(
    packs: readonly number[],
    excluded: SlotLookup,
    signal: AbortSignal,
  ): Promise<void> {
    const isMany = packs.length * PACK_ENTRIES_EXPECTED > this.#entriesMax;
    const runs = isMany ? this.#runs : undefined;
    const toRun = async (): Promise<void> => this.#fill(packs, { excluded, runs }, signal);
    if (runs === undefined || !(await this.#withRuns(toRun))) {
      await this.#fill(packs, { excluded, runs: undefined }, signal);
    }
  }

  /** Puts packs into a new run, or into the table if there are no runs. */
  async #fill(
    packs: readonly number[],
    { excluded, runs }: { excluded: SlotLookup; runs: IndexRuns | undefined },
    signal: AbortSignal,
  ): Promise<void> {
    const draft = runs?.draft();
    const fetch = async (from: number): Promise<(PackFooter | undefined)[]> => {
      const some = packs.slice(from, from + FOOTERS_AT_ONCE);
      const all = Promise.all(some.map((pack) => this.#footer(pack, excluded, signal)));
      // Awaited below; until then a rejection must not end the process.
      all.catch(() => undefined);
      return all;
    };
    let next = fetch(0);
    for (let at = 0; at < packs.length; at += FOOTERS_AT_ONCE) {
      const footers = await next;
      next = fetch(at + FOOTERS_AT_ONCE);
      for (const [index, footer] of footers.entries()) {
        const pack = packs[at + index] ?? 0;
        if (footer !== undefined && draft !== undefined) {
          draftPack(draft, pack, footer);
        } else if (footer !== undefined) {
          await this.#loadPack(pack, footer, excluded);
        }
      }
    }
    if (draft !== undefined) {
      await runs?.add(draft);
      for (const pack of draft.packs.keys()) {
        this.#base.numbers.setState(pack, PACK_USABLE);
      }
    }
  }

  async #openRuns(): Promise<void> {
    const { numbers } = this.#base;
    const folder = this.#cache?.folder;
    this.#runs = await folder?.use(undefined, async () =>
      IndexRuns.open(join(folder.path, 'runs'), numbers, this.#clock.nowMs()),
    );
  }

  /** @returns false if the cache took no change of the runs; the log says why */
  async #withRuns(change: () => Promise<void>): Promise<boolean> {
    const done = await this.#cache?.folder.use(false, async () => {
      await change();
      return true;
    });
    return done === true;
  }

  /** Uses packs in runs, which need no loading. @returns the other packs */
  #useRuns(packs: readonly number[], excluded: SlotLookup): number[] {
    const { numbers } = this.#base;
    return packs.filter((pack) => {
      if (this.#runs?.covers(pack) !== true) {
        return true;
      }
      const isUnused = numbers.state(pack) === PACK_UNUSABLE;
      if (isUnused && !excluded.hasAll(numbers.name(pack).ulid)) {
        numbers.setState(pack, PACK_USABLE);
      }
      return false;
    });
  }

  async #footer(
    pack: number,
    excluded: SlotLookup,
    signal: AbortSignal,
  ): Promise<PackFooter | undefined> {
    const name = this.#base.numbers.name(pack);
    if (excluded.hasAll(name.ulid) || this.#base.numbers.state(pack) !== PACK_UNUSABLE) {
      return undefined;
    }
    return this.#known.footer(pack, signal);
  }

  async #loadPack(pack: number, footer: PackFooter, excluded: SlotLookup): Promise<void> {
    const { ulid } = this.#base.numbers.name(pack);
    await this.#makeRoom(footer.slots);
    const slots = { sectors: footer.sizes, ids: footer.ids };
    const isWanted = (slot: number): boolean => !excluded.has(ulid, slot);
    const some = excluded.touches(ulid) ? isWanted : undefined;
    this.#table.insertSlots(slots, { pack, first: 0 }, some);
    this.#base.numbers.setState(pack, PACK_USABLE);
  }

  /** Makes one change at a time: nobody may write to a table that is growing. */
  async #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(change);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #makeRoom(count: number): Promise<void> {
    if (this.#table.hasRoomFor(count)) {
      return;
    }
    const runs = this.#runs;
    if (runs !== undefined && this.#table.capacity >= this.#entriesMax * 2) {
      // If this fails, the table grows.
      await this.#withRuns(async () => this.#moveToRun(runs));
      if (this.#table.hasRoomFor(count)) {
        return;
      }
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
  /**
   * Moves the chunks of packs in the vault to a run; those of packs being written stay in the
   * table.
   */
  async #moveToRun(runs: IndexRuns): Promise<void> {
    const draft = runs.draft();
    const rest = await draftTable(draft, this.#table, (pack) => {
      return this.#base.numbers.state(pack) === PACK_USABLE;
    });
    await runs.add(draft);
    this.#table = rest;
  }
}
