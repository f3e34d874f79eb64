import { Fault, isFault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { ByteReader, ByteWriter, demand } from '../bytes/binary.ts';
import { decodeControl, encodeControl, parseControlBody } from '../control/control-object.ts';
import { numberOf, PREFIXES } from '../format/object-names.ts';
import { nextNumbered } from '../format/numbered-objects.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import { getOrDamage } from '../format/object-limit.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { ALIAS_CHAIN_MAX, ALIASES_MAX, SLOTS_MAX } from '../format/limits.ts';
import { ulidBytes, ulidText, type Ulid } from '../bytes/ulid.ts';

/** A slot of a logical pack, by its permanent name. */
export interface SlotName {
  readonly ulid: Ulid;
  readonly slot: number;
}

/** The `count` slots from `from` on have the same content as the slots from `to` on. */
export interface Alias {
  readonly from: SlotName;
  readonly to: SlotName;
  readonly count: number;
}

/**
 * Encodes the body of an `alias/` object: docs/vault-format.md, section 5.
 * @throws Fault `vault.limit-reached`
 */
export function encodeAliases(aliases: readonly Alias[]): Buffer {
  if (aliases.length > ALIASES_MAX) {
    throw new Fault('vault.limit-reached', `An object holds at most ${ALIASES_MAX} aliases.`);
  }
  const writer = new ByteWriter(16 + aliases.length * 40).varint(aliases.length);
  for (const { from, to, count } of aliases) {
    writer.bytes(ulidBytes(from.ulid)).varint(from.slot).varint(count);
    writer.bytes(ulidBytes(to.ulid)).varint(to.slot);
  }
  return writer.finish();
}

/** @throws Malformed */
export function decodeAliases(bytes: Uint8Array): Alias[] {
  const reader = new ByteReader(bytes);
  const aliases: Alias[] = [];
  for (let left = reader.varint(ALIASES_MAX); left > 0; left--) {
    const from = { ulid: ulidText(reader.bytes(16)), slot: reader.varint(SLOTS_MAX) };
    const count = reader.varint(SLOTS_MAX);
    const to = { ulid: ulidText(reader.bytes(16)), slot: reader.varint(SLOTS_MAX) };
    const fits = from.slot + count <= SLOTS_MAX && to.slot + count <= SLOTS_MAX;
    demand(count > 0 && fits, 'an alias names impossible slots');
    aliases.push({ from, to, count });
  }
  reader.end();
  return aliases;
}

/** @throws Fault `vault.control-corrupt`, `vault.format-newer` */
export function readAliases(
  { keys }: Pick<AliasBase, 'keys'>,
  key: ObjectKey,
  object: Uint8Array,
): Alias[] {
  const body = decodeControl(keys, 'alias', key, object);
  return parseControlBody(key, () => decodeAliases(body));
}

interface AliasBase {
  readonly store: ObjectStore;
  readonly keys: KeyTree;
}

/** Other names under which the content of slots is in the vault, as `alias/` has them. */
export class Aliases {
  readonly #base: AliasBase;
  readonly #log: Log;
  readonly #seen = new Set<ObjectKey>();
  readonly #bySource = new Map<Ulid, Alias[]>();
  #count = 0;
  /** Objects that do not verify. Readers can do without them; a collector must not. */
  readonly ignored = new Set<ObjectKey>();

  constructor(base: AliasBase, log: Log) {
    this.#base = base;
    this.#log = log;
  }

  /** Reads what is new under `alias/`: one LIST, and a GET for each object not seen before. */
  async read(signal: AbortSignal): Promise<void> {
    for await (const { key } of this.#base.store.list(PREFIXES.aliases, signal)) {
      if (this.#seen.has(key) || numberOf(key) === undefined) {
        continue;
      }
      const object = await getOrDamage(this.#base.store, key, signal);
      if (object !== undefined) {
        this.#learn(this.#decode(key, object));
        this.#seen.add(key);
      }
    }
  }

  /** Keys of the objects read so far. */
  get keys(): ReadonlySet<ObjectKey> {
    return this.#seen;
  }

  /** How many objects were read: a larger number means that there are new aliases. */
  get count(): number {
    return this.#count;
  }

  /** Whether slots of this pack have other names that lead on. */
  touches(ulid: Ulid): boolean {
    return this.#bySource.has(ulid);
  }

  /** Returns the packs in which slots of this one have other names. */
  targets(ulid: Ulid): Set<Ulid> {
    return new Set((this.#bySource.get(ulid) ?? []).map(({ to }) => to.ulid));
  }

  /** Returns other names of a slot, newest first. Each may have others again. */
  of({ ulid, slot }: SlotName): SlotName[] {
    return (this.#bySource.get(ulid) ?? [])
      .filter(({ from, count }) => slot >= from.slot && slot < from.slot + count)
      .map(({ from, to }) => ({ ulid: to.ulid, slot: to.slot + slot - from.slot }))
      .reverse();
  }

  /**
   * Yields all names that lead on from a slot, without the slot itself. Follows chains; cycles end.
   */
  *chain(start: SlotName): Iterable<SlotName> {
    const seen = new Set([nameOf(start)]);
    let level = [start];
    for (let depth = 0; depth < ALIAS_CHAIN_MAX && level.length > 0; depth++) {
      const next: SlotName[] = [];
      for (const name of level.flatMap((slot) => this.of(slot))) {
        if (!seen.has(nameOf(name))) {
          seen.add(nameOf(name));
          next.push(name);
          yield name;
        }
      }
      level = next;
    }
  }

  /** Yields every alias. */
  *all(): Iterable<Alias> {
    for (const aliases of this.#bySource.values()) {
      yield* aliases;
    }
  }

  /**
   * Stores new aliases, whose targets must be in the vault already. The caller reads `gc/`
   * afterwards: an alias to a condemned slot is worth nothing.
   * @returns the key of the object; of several objects, the last
   */
  async write(aliases: readonly Alias[], signal: AbortSignal): Promise<ObjectKey> {
    const key = await nextNumbered(this.#base.store, PREFIXES.aliases, signal);
    const some = aliases.slice(0, ALIASES_MAX);
    const object = encodeControl(this.#base.keys, 'alias', key, encodeAliases(some));
    await this.#base.store.put(key, object, signal);
    this.#learn(some);
    this.#seen.add(key);
    return some.length < aliases.length ? this.write(aliases.slice(some.length), signal) : key;
  }

  #learn(aliases: readonly Alias[]): void {
    for (const alias of aliases) {
      const list = this.#bySource.get(alias.from.ulid) ?? [];
      this.#bySource.set(alias.from.ulid, list);
      list.push(alias);
      this.#count += 1;
    }
  }

  #decode(key: ObjectKey, object: Uint8Array | Fault): Alias[] {
    try {
      if (isFault(object)) {
        throw object;
      }
      return readAliases(this.#base, key, object);
    } catch (error) {
      if (!isFault(error, 'vault.control-corrupt')) {
        throw error;
      }
      // The alias only adds a way to content whose id proves it: without it, less is found.
      this.ignored.add(key);
      this.#log.error('vault.alias-ignored', { key });
      return [];
    }
  }
}

/** Joins neighbours in both packs into one alias. */
export function joinAliases(pairs: readonly Pick<Alias, 'from' | 'to'>[]): Alias[] {
  const sorted = pairs.toSorted((a, b) =>
    a.from.ulid === b.from.ulid ? a.from.slot - b.from.slot : a.from.ulid < b.from.ulid ? -1 : 1,
  );
  const aliases: (Alias & { count: number })[] = [];
  for (const { from, to } of sorted) {
    const last = aliases.at(-1);
    if (
      last?.from.ulid === from.ulid &&
      last.to.ulid === to.ulid &&
      last.from.slot + last.count === from.slot &&
      last.to.slot + last.count === to.slot
    ) {
      last.count += 1;
    } else {
      aliases.push({ from, to, count: 1 });
    }
  }
  return aliases;
}

function nameOf({ ulid, slot }: SlotName): string {
  return `${ulid}/${slot}`;
}
