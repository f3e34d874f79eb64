import { randomBytes } from 'node:crypto';
import { byteSwapped } from './binary.ts';
import { isUlid, ulidBytes, ulidText, type Ulid } from './ulid.ts';

const ULID_BYTES = 16;
const ULID_WORDS = ULID_BYTES / 4;
const FIRST_CAPACITY = 256;
/** Factor by which a full list grows; unused room is memory too. */
const GROWTH = 1.25;

/**
 * Numbers ULIDs from 0 in the order in which they come: 24 to 36 bytes each, where a map of strings
 * takes 130.
 */
export class UlidTable {
  /** Four words per ULID, in memory order. */
  #words = new Uint32Array(FIRST_CAPACITY * ULID_WORDS);
  /** Hash table with numbers + 1. */
  #table = new Int32Array(FIRST_CAPACITY * 2);
  #count = 0;
  /** The last ULID asked for: slots of one pack come one after another. */
  #asked = '';
  #answer: number | undefined;

  get count(): number {
    return this.#count;
  }

  /** Memory used, in bytes. */
  get bytes(): number {
    return this.#words.byteLength + this.#table.byteLength;
  }

  /** Returns the number of a ULID; a new one if it has none yet. */
  of(ulid: Ulid): number {
    return this.find(ulid) ?? this.#add(ulidBytes(ulid));
  }

  find(ulid: string): number | undefined {
    if (this.#asked !== ulid) {
      const isAny = this.#count > 0 && isUlid(ulid);
      this.#answer = isAny ? this.findBytes(ulidBytes(ulid)) : undefined;
      this.#asked = ulid;
    }
    return this.#answer;
  }

  /** Returns the number of a ULID given as 16 bytes. */
  findBytes(ulid: Buffer): number | undefined {
    const [table, words] = [this.#table, this.#words];
    const mask = table.length - 1;
    const first = ulid.readUInt32LE(0);
    const second = ulid.readUInt32LE(4);
    const third = ulid.readUInt32LE(8);
    const fourth = ulid.readUInt32LE(12);
    for (let at = hashOf(ulid); ; at++) {
      const entry = table[at & mask] ?? 0;
      if (entry === 0) {
        return undefined;
      }
      const start = (entry - 1) * ULID_WORDS;
      if (
        words[start + 3] === fourth &&
        words[start] === first &&
        words[start + 1] === second &&
        words[start + 2] === third
      ) {
        return entry - 1;
      }
    }
  }

  ulid(number: number): Ulid {
    return ulidText(this.#ulid(number));
  }

  /** Compares two ULIDs by the time they were made. */
  compare(one: number, other: number): number {
    for (let word = 0; word < ULID_WORDS; word++) {
      const a = byteSwapped(this.#words[one * ULID_WORDS + word] ?? 0);
      const b = byteSwapped(this.#words[other * ULID_WORDS + word] ?? 0);
      if (a !== b) {
        return a - b;
      }
    }
    return 0;
  }

  /** Returns 32 random-looking bits, the same for this ULID until the process ends. */
  hash(number: number): number {
    return hashOf(this.#ulid(number));
  }

  #ulid(number: number): Buffer {
    const { buffer } = this.#words;
    return Buffer.from(buffer, number * ULID_BYTES, ULID_BYTES);
  }

  #add(ulid: Buffer): number {
    const number = this.#count++;
    this.#asked = '';
    this.#answer = undefined;
    const at = number * ULID_WORDS;
    if (at >= this.#words.length) {
      const larger = new Uint32Array(grownCapacity(number) * ULID_WORDS);
      larger.set(this.#words);
      this.#words = larger;
    }
    for (let word = 0; word < ULID_WORDS; word++) {
      this.#words[at + word] = ulid.readUInt32LE(word * 4);
    }
    if (this.#count > this.#table.length / 2) {
      this.#table = new Int32Array(this.#table.length * 2);
      for (let other = 0; other < number; other++) {
        this.#insert(other);
      }
    }
    this.#insert(number);
    return number;
  }

  #insert(number: number): void {
    const mask = this.#table.length - 1;
    let at = hashOf(this.#ulid(number));
    while (this.#table[at & mask] !== 0) {
      at += 1;
    }
    this.#table[at & mask] = number + 1;
  }
}

/** Returns the new capacity of a list that is full with `count` entries. */
export function grownCapacity(count: number): number {
  return Math.max(FIRST_CAPACITY, Math.ceil((count + 1) * GROWTH));
}

/** Anybody can choose the names in a listing: without a seed they could all collide. */
const SEED = randomBytes(4).readUInt32LE();

/** Returns what `UlidTable.hash` returns for it. */
export function hashOfUlid(ulid: Ulid): number {
  return hashOf(ulidBytes(ulid));
}

function hashOf(ulid: Buffer): number {
  let hash = SEED;
  for (let at = 0; at < ULID_BYTES; at += 4) {
    hash = Math.imul(hash ^ ulid.readUInt32LE(at), 0x85eb_ca6b);
    hash ^= hash >>> 13;
  }
  hash = Math.imul(hash, 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
