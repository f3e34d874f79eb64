import { randomBytes } from 'node:crypto';
import { isUlid, ulidBytes, ulidText, type Ulid } from './ulid.ts';

const ULID_BYTES = 16;
const FIRST_CAPACITY = 256;
/** A list that grows is so much larger each time: what is not used yet is memory too. */
const GROWTH = 1.25;

/** Numbers ULIDs from 0 in the order of their coming: 24 to 36 bytes each, where a map of strings takes 130. */
export class UlidTable {
  #bytes = Buffer.alloc(FIRST_CAPACITY * ULID_BYTES);
  /** Hash table of numbers + 1. */
  #table = new Int32Array(FIRST_CAPACITY * 2);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Memory taken. */
  get bytes(): number {
    return this.#bytes.length + this.#table.byteLength;
  }

  /** The number of a ULID; a new one if it has none yet. */
  of(ulid: Ulid): number {
    const bytes = ulidBytes(ulid);
    return this.#find(bytes) ?? this.#add(bytes);
  }

  find(ulid: string): number | undefined {
    return isUlid(ulid) ? this.#find(ulidBytes(ulid)) : undefined;
  }

  /** The same for the 16 bytes of a ULID. */
  findBytes(ulid: Buffer): number | undefined {
    return this.#find(ulid);
  }

  ulid(number: number): Ulid {
    return ulidText(this.#ulid(number));
  }

  /** Which of two was made first. */
  compare(one: number, other: number): number {
    return this.#ulid(one).compare(this.#ulid(other));
  }

  /** 32 bits that are as good as random, and the same for this ULID until the process ends. */
  hash(number: number): number {
    return hashOf(this.#ulid(number));
  }

  #ulid(number: number): Buffer {
    return this.#bytes.subarray(number * ULID_BYTES, (number + 1) * ULID_BYTES);
  }

  #find(ulid: Buffer): number | undefined {
    for (let at = hashOf(ulid); ; at++) {
      const entry = this.#table[at & (this.#table.length - 1)] ?? 0;
      if (entry === 0) {
        return undefined;
      }
      if (this.#bytes.compare(ulid, 0, ULID_BYTES, at16(entry - 1), at16(entry)) === 0) {
        return entry - 1;
      }
    }
  }

  #add(ulid: Buffer): number {
    const number = this.#count++;
    const at = number * ULID_BYTES;
    if (at >= this.#bytes.length) {
      const larger = Buffer.alloc(grownCapacity(number) * ULID_BYTES);
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    ulid.copy(this.#bytes, at);
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

function at16(number: number): number {
  return number * ULID_BYTES;
}

/** How many entries a list has room for that is full with `count`. */
export function grownCapacity(count: number): number {
  return Math.max(FIRST_CAPACITY, Math.ceil((count + 1) * GROWTH));
}

/** Names in a listing are anybody's choice: without this somebody could make them all collide. */
const SEED = randomBytes(4).readUInt32LE();

/** The same as `UlidTable.hash` has for it. */
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
