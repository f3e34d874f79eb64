import assert from 'node:assert/strict';
import { Fault } from '../../kernel/fault.ts';
import type { PackName } from '../format/object-names.ts';
import { grownCapacity, UlidTable } from '../bytes/ulid-table.ts';

/** How many packs one process can tell apart: 64 TiB of full packs. */
const PACKS_MAX = 2 ** 20;

/**
 * States of a pack in `PackNumbers.states`; from SESSION_FIRST on, the session that is writing it.
 */
export const PACK_UNUSABLE = 0;
export const PACK_USABLE = 1;
const SESSION_FIRST = 2;
const ULID_BYTES = 16;
const GENERATION_BYTES = 4;
const RAND_BYTES = 16;

/**
 * Numbers logical packs, so that tables shared with worker threads hold small numbers instead of
 * names. Numbers live as long as the process.
 */
export class PackNumbers {
  /** By pack: whether its chunks may be deduplicated against. Shared with workers. */
  readonly states = new Int32Array(new SharedArrayBuffer(PACKS_MAX * 4));
  readonly #ulids = new UlidTable();
  readonly #names = new PackNames(this.#ulids);
  readonly #packsMax: number;
  #sessions = SESSION_FIRST;

  constructor(packsMax = PACKS_MAX) {
    this.#packsMax = packsMax;
  }

  /**
   * Returns the number of a logical pack, and keeps the higher of two names for it.
   * @throws Fault `vault.limit-reached`, which is no damage of this pack, so callers do not step
   *   over it
   */
  of(name: PackName): number {
    const known = this.#ulids.find(name.ulid);
    if (known !== undefined) {
      const kept = this.name(known);
      if (name.kind === kept.kind && name.generation > kept.generation) {
        this.#names.set(known, name);
      }
      return known;
    }
    if (this.#ulids.count >= this.#packsMax) {
      throw new Fault(
        'vault.limit-reached',
        `There are more than ${this.#packsMax} packs in this vault, and this program tells no more apart. Nothing was changed; look under d/ and m/ for objects that no backup of yours wrote.`,
      );
    }
    const number = this.#ulids.of(name.ulid);
    this.#names.set(number, name);
    return number;
  }

  find(ulid: string): number | undefined {
    return this.#ulids.find(ulid);
  }

  /**
   * Returns the number of a data pack, if it is known, by its name in a run: ULID, u32 generation,
   * rand. Keeps the higher of two names for it.
   */
  findRecord(record: Buffer): number | undefined {
    const number = this.#ulids.findBytes(record.subarray(0, ULID_BYTES));
    if (number !== undefined) {
      this.#names.raise(number, record.subarray(ULID_BYTES));
    }
    return number;
  }

  name(number: number): PackName {
    assert(number < this.#ulids.count, 'unknown pack number');
    return this.#names.get(number);
  }

  /** Sets the name of another generation. */
  rename(number: number, name: PackName): void {
    assert(this.name(number).ulid === name.ulid);
    this.#names.set(number, name);
  }

  setState(number: number, state: number): void {
    Atomics.store(this.states, number, state);
  }

  state(number: number): number {
    return Atomics.load(this.states, number);
  }

  /** Returns the data packs that chunks may be deduplicated against now. */
  usable(): number[] {
    const packs: number[] = [];
    for (let number = 0; number < this.#ulids.count; number++) {
      if (this.state(number) === PACK_USABLE) {
        packs.push(number);
      }
    }
    return packs;
  }

  newSession(): number {
    return this.#sessions++;
  }
}

/** Bytes of a name besides its ULID: rand, generation, kind. */
const REST_BYTES = 24;
const GENERATION_OFFSET = 16;
const KIND_OFFSET = 20;
/** How many recently used names are kept as objects. */
const RECENT = 2 ** 12;

/** Names of packs as bytes: as objects they would take 300 bytes each. */
class PackNames {
  readonly #ulids: UlidTable;
  #rest = Buffer.alloc(grownCapacity(0) * REST_BYTES);
  readonly #recent: ({ readonly number: number; readonly name: PackName } | undefined)[] =
    Array.from({ length: RECENT });

  constructor(ulids: UlidTable) {
    this.#ulids = ulids;
  }

  get(number: number): PackName {
    const recent = this.#recent[number % RECENT];
    if (recent?.number === number) {
      return recent.name;
    }
    const at = number * REST_BYTES;
    const name: PackName = {
      kind: this.#rest[at + KIND_OFFSET] === 0 ? 'data' : 'metadata',
      ulid: this.#ulids.ulid(number),
      generation: this.#rest.readUInt32LE(at + GENERATION_OFFSET),
      rand: this.#rest.toString('hex', at, at + GENERATION_OFFSET),
    };
    this.#recent[number % RECENT] = { number, name };
    return name;
  }

  /** Takes a data pack's generation and rand if they are later. */
  raise(number: number, record: Buffer): void {
    const at = number * REST_BYTES;
    const generation = record.readUInt32LE(0);
    const isData = this.#rest[at + KIND_OFFSET] === 0;
    if (isData && generation > this.#rest.readUInt32LE(at + GENERATION_OFFSET)) {
      record.copy(this.#rest, at, GENERATION_BYTES, GENERATION_BYTES + RAND_BYTES);
      this.#rest.writeUInt32LE(generation, at + GENERATION_OFFSET);
      this.#recent[number % RECENT] = undefined;
    }
  }

  /** Replaces a name, or adds the next one. */
  set(number: number, { kind, generation, rand }: PackName): void {
    const at = number * REST_BYTES;
    if (at >= this.#rest.length) {
      const larger = Buffer.alloc(grownCapacity(number) * REST_BYTES);
      this.#rest.copy(larger);
      this.#rest = larger;
    }
    this.#rest.write(rand, at, 'hex');
    this.#rest.writeUInt32LE(generation, at + GENERATION_OFFSET);
    this.#rest[at + KIND_OFFSET] = kind === 'data' ? 0 : 1;
    this.#recent[number % RECENT] = undefined;
  }
}
