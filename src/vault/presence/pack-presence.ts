import { randomInt } from 'node:crypto';
import type { Clock } from '../../kernel/clock.ts';
import { isFault } from '../../kernel/fault.ts';
import { packKey, parsePackKey, PREFIXES, type PackKind } from '../format/object-names.ts';
import type { Packs } from '../packs/packs.ts';
import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import type { Ulid } from '../bytes/ulid.ts';

/** Keys in one answer to a LIST. */
const LISTED_AT_ONCE = 1000;
/** Up to this many packs, all are listed each time: at most 8 requests, for about 500 GiB. */
const LISTED_ALWAYS = 8 * LISTED_AT_ONCE;
/** After this time all packs are listed again, however many there are. */
const LISTED_AGAIN_MS = 24 * 3_600_000;
/** Up to this many packs are asked for one by one; more justify a listing of thousands. */
const SINGLES_MAX = 32;
const SAMPLE = 4;
const ASKED_AT_ONCE = 16;
const ALIAS_CHAIN_MAX = 16;

/** Packs of one kind, by their numbers. */
export interface AskedPacks {
  readonly kind: PackKind;
  /** Each of these is proven. */
  readonly needed: ReadonlySet<number>;
  /** These are proven if that costs no request more; otherwise a sample of them is. */
  readonly others: readonly number[];
}

type IsThere = (ulid: Ulid) => Promise<boolean>;

/**
 * Asks the store which packs it has, past all caches. Lists small vaults whole. For large ones the
 * cost depends on what is asked for and not on the vault's size, except for one whole listing a day
 * while the vault is open.
 */
export class PackPresence {
  readonly #packs: Packs;
  /** Kinds with too many packs to list them each time. */
  readonly #large = new Set<PackKind>();
  readonly #clock: Clock;
  readonly #openedAtMs: number;
  readonly #listedAtMs = new Map<PackKind, number>();
  /** Until a read is refused: a machine may be allowed to list packs and not to read them. */
  #mayRead = true;

  constructor(packs: Packs, clock: Clock) {
    this.#packs = packs;
    this.#clock = clock;
    this.#openedAtMs = clock.monotonicMs();
  }

  /**
   * Returns which of these packs are in no generation there, and not merged into others that are. A
   * store that refuses listing proves nothing, and hides nothing either.
   */
  async missing(asked: AskedPacks, signal: AbortSignal): Promise<Set<number>> {
    try {
      const all = await this.#listed(asked, signal);
      if (all === undefined) {
        const some = new Set([...asked.needed, ...sampleOf(asked.others)]);
        return await this.#among(asked.kind, some, this.#single(asked.kind, signal), signal);
      }
      const both = new Set([...asked.needed, ...asked.others]);
      return await this.#among(asked.kind, both, async (ulid) => all.has(ulid), signal);
    } catch (error) {
      if (isFault(error, 'store.denied')) {
        return new Set();
      }
      throw error;
    }
  }

  /** Proves all of these packs, at any cost. */
  async missingOfAll(
    kind: PackKind,
    packs: ReadonlySet<number>,
    signal: AbortSignal,
  ): Promise<Set<number>> {
    const all = await this.#list(kind, Infinity, signal);
    return this.#among(kind, packs, async (ulid) => all?.has(ulid) === true, signal);
  }

  async #listed(
    { kind, needed, others }: AskedPacks,
    signal: AbortSignal,
  ): Promise<ReadonlySet<Ulid> | undefined> {
    if (!this.#large.has(kind)) {
      const all = await this.#list(kind, LISTED_ALWAYS, signal);
      if (all !== undefined) {
        return all;
      }
      this.#large.add(kind);
    }
    const pages = (needed.size + others.length) / LISTED_AT_ONCE;
    const listedAtMs = this.#listedAtMs.get(kind) ?? this.#openedAtMs;
    const isDue = this.#clock.monotonicMs() - listedAtMs >= LISTED_AGAIN_MS;
    return isDue || needed.size > Math.max(SINGLES_MAX, pages)
      ? this.#list(kind, Infinity, signal)
      : undefined;
  }

  /** @returns undefined if there are more objects than that */
  async #list(
    kind: PackKind,
    objectsMax: number,
    signal: AbortSignal,
  ): Promise<Set<Ulid> | undefined> {
    const startMs = this.#clock.monotonicMs();
    const found = new Set<Ulid>();
    let objects = 0;
    for await (const { key } of this.#packs.base.store.list(PREFIXES[kind], signal)) {
      objects += 1;
      if (objects > objectsMax) {
        return undefined;
      }
      const name = parsePackKey(key);
      if (name !== undefined) {
        found.add(name.ulid);
      }
    }
    this.#listedAtMs.set(kind, startMs);
    return found;
  }

  /** Costs one GET for a pack in its place, and one LIST more otherwise. */
  #single(kind: PackKind, signal: AbortSignal): IsThere {
    return async (ulid) =>
      (await this.#isAsKnown(ulid, signal)) ||
      (await this.#packs.generations({ kind, ulid }, signal)).length > 0;
  }

  async #isAsKnown(ulid: Ulid, signal: AbortSignal): Promise<boolean> {
    const { numbers, store } = this.#packs.base;
    const number = numbers.find(ulid);
    if (number === undefined || !this.#mayRead) {
      return false;
    }
    try {
      const key = packKey(numbers.name(number));
      return (await store.getRange(key, { offset: 0, length: 1 }, signal)) !== undefined;
    } catch (error) {
      if (!isFault(error, 'store.denied')) {
        throw error;
      }
      this.#mayRead = false;
      return false;
    }
  }

  async #among(
    kind: PackKind,
    packs: ReadonlySet<number>,
    isThere: IsThere,
    signal: AbortSignal,
  ): Promise<Set<number>> {
    const { numbers } = this.#packs.base;
    const missing = new Set<number>();
    await mapAtOnce(packs, ASKED_AT_ONCE, async (pack) => {
      if (!(await isThere(numbers.name(pack).ulid))) {
        missing.add(pack);
      }
    });
    return missing.size === 0 ? missing : this.#withoutMerged(kind, missing, signal);
  }

  /** A merged pack is gone, but its content is where aliases lead. */
  async #withoutMerged(
    kind: PackKind,
    packs: ReadonlySet<number>,
    signal: AbortSignal,
  ): Promise<Set<number>> {
    const { aliases, base } = this.#packs;
    await aliases.read(signal);
    const asked = new Map<Ulid, boolean>();
    const single = this.#single(kind, signal);
    const stands = async (ulid: Ulid, depth: number): Promise<boolean> => {
      const targets = aliases.targets(ulid);
      if (targets.size === 0 || depth > ALIAS_CHAIN_MAX) {
        return false;
      }
      for (const target of targets) {
        const known = asked.get(target) ?? (await single(target));
        asked.set(target, known);
        if (!known && !(await stands(target, depth + 1))) {
          return false;
        }
      }
      return true;
    };
    const missing = new Set<number>();
    for (const pack of packs) {
      if (!(await stands(base.numbers.name(pack).ulid, 1))) {
        missing.add(pack);
      }
    }
    return missing;
  }
}

function sampleOf(packs: readonly number[]): number[] {
  const size = Math.min(SAMPLE, packs.length);
  return Array.from({ length: size }, () => packs[randomInt(packs.length)] ?? 0);
}
