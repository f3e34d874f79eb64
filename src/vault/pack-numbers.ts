import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Fault } from '../kernel/fault.ts';
import type { PackName } from './layout.ts';
import { isUlid, ulidBytes, ulidText } from './ulid.ts';

/** As many packs as one process can tell apart: 64 TiB of full packs. */
const PACKS_MAX = 2 ** 20;

/** States of a pack in `PackNumbers.states`; anything from SESSION_FIRST is the session that is writing it. */
export const PACK_UNUSABLE = 0;
export const PACK_USABLE = 1;
const SESSION_FIRST = 2;

/**
 * Small numbers for logical packs, so that tables shared with worker threads hold numbers and not
 * names. Numbers live as long as the process.
 */
export class PackNumbers {
  /** Per pack, whether its chunks may be deduplicated against. Shared with workers. */
  readonly states = new Int32Array(new SharedArrayBuffer(PACKS_MAX * 4));
  readonly #names = new PackNames();
  /** Hash table of numbers + 1, by ULID. */
  #table = new Int32Array(2 ** 10);
  #sessions = SESSION_FIRST;

  /** The number of a logical pack. Of two generations the higher name is kept. */
  of(name: PackName): number {
    const ulid = ulidBytes(name.ulid);
    const known = this.#find(ulid);
    if (known !== undefined) {
      const kept = this.name(known);
      if (name.kind === kept.kind && name.generation > kept.generation) {
        this.#names.set(known, name);
      }
      return known;
    }
    const number = this.#names.count;
    if (number >= PACKS_MAX) {
      throw new Fault(
        'vault.pack-corrupt',
        `There are more than ${PACKS_MAX} packs in this vault.`,
      );
    }
    this.#names.set(number, name);
    if (this.#names.count > this.#table.length / 2) {
      this.#table = new Int32Array(this.#table.length * 2);
      for (let other = 0; other < number; other++) {
        this.#insert(this.#names.ulid(other), other);
      }
    }
    this.#insert(ulid, number);
    return number;
  }

  find(ulid: string): number | undefined {
    return isUlid(ulid) ? this.#find(ulidBytes(ulid)) : undefined;
  }

  name(number: number): PackName {
    assert(number < this.#names.count, 'unknown pack number');
    return this.#names.get(number);
  }

  /** Another generation took the place of the known one. */
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

  newSession(): number {
    return this.#sessions++;
  }

  #find(ulid: Buffer): number | undefined {
    for (let at = hashOf(ulid); ; at++) {
      const entry = this.#table[at & (this.#table.length - 1)] ?? 0;
      if (entry === 0) {
        return undefined;
      }
      if (this.#names.ulid(entry - 1).equals(ulid)) {
        return entry - 1;
      }
    }
  }

  #insert(ulid: Buffer, number: number): void {
    const mask = this.#table.length - 1;
    let at = hashOf(ulid);
    while (this.#table[at & mask] !== 0) {
      at += 1;
    }
    this.#table[at & mask] = number + 1;
  }
}

/** Of a name: ULID, rand, generation, kind. */
const NAME_BYTES = 40;
const RAND_OFFSET = 16;
const GENERATION_OFFSET = 32;
const KIND_OFFSET = 36;
/** Names that were asked for lately are kept as they are handed out. */
const RECENT = 2 ** 12;

/** Names of packs, as bytes: as objects they would take 300 bytes each. */
class PackNames {
  #bytes = Buffer.alloc(NAME_BYTES * 256);
  readonly #recent: ({ readonly number: number; readonly name: PackName } | undefined)[] =
    Array.from({ length: RECENT });
  count = 0;

  ulid(number: number): Buffer {
    return this.#bytes.subarray(number * NAME_BYTES, number * NAME_BYTES + RAND_OFFSET);
  }

  get(number: number): PackName {
    const recent = this.#recent[number % RECENT];
    if (recent?.number === number) {
      return recent.name;
    }
    const at = number * NAME_BYTES;
    const name: PackName = {
      kind: this.#bytes[at + KIND_OFFSET] === 0 ? 'data' : 'metadata',
      ulid: ulidText(this.ulid(number)),
      generation: this.#bytes.readUInt32LE(at + GENERATION_OFFSET),
      rand: this.#bytes.toString('hex', at + RAND_OFFSET, at + GENERATION_OFFSET),
    };
    this.#recent[number % RECENT] = { number, name };
    return name;
  }

  /** Replaces a name or adds the next one. */
  set(number: number, { kind, ulid, generation, rand }: PackName): void {
    const at = number * NAME_BYTES;
    if (at >= this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(this.#bytes.length)]);
    }
    this.#bytes.set(ulidBytes(ulid), at);
    this.#bytes.write(rand, at + RAND_OFFSET, 'hex');
    this.#bytes.writeUInt32LE(generation, at + GENERATION_OFFSET);
    this.#bytes[at + KIND_OFFSET] = kind === 'data' ? 0 : 1;
    this.#recent[number % RECENT] = undefined;
    this.count = Math.max(this.count, number + 1);
  }
}

/** Names in a listing are anybody's choice: without this somebody could make them all collide. */
const SEED = randomBytes(4).readUInt32LE();

function hashOf(ulid: Buffer): number {
  let hash = SEED;
  for (let at = 0; at < RAND_OFFSET; at += 4) {
    hash = Math.imul(hash ^ ulid.readUInt32LE(at), 0x85eb_ca6b);
    hash ^= hash >>> 13;
  }
  hash = Math.imul(hash, 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
