import assert from 'node:assert/strict';
import { SLOTS_MAX } from '../format/limits.ts';

/** Slots [first, first + count). */
export interface SlotRange {
  readonly first: number;
  readonly count: number;
}

const WORD_BITS = 16;

/** The slots of one pack while they are put together: a bit each. */
export class SlotBits {
  readonly #words = new Uint16Array(Math.ceil(SLOTS_MAX / WORD_BITS));
  #end = 0;

  /** The words up to the last that is not zero. */
  get words(): Uint16Array {
    return this.#words.subarray(0, this.#end);
  }

  clear(): void {
    this.#words.fill(0, 0, this.#end);
    this.#end = 0;
  }

  add({ first, count }: SlotRange): void {
    const end = first + count;
    assert(first >= 0 && count > 0 && end <= SLOTS_MAX, 'no slots of a pack');
    for (let slot = first; slot < end;) {
      const bit = slot % WORD_BITS;
      const some = Math.min(WORD_BITS - bit, end - slot);
      const word = (slot - bit) / WORD_BITS;
      this.#words[word] = (this.#words[word] ?? 0) | ((2 ** some - 1) << bit);
      slot += some;
    }
    this.#end = Math.max(this.#end, Math.ceil(end / WORD_BITS));
  }

  addWords(words: Uint16Array): void {
    for (const [index, word] of words.entries()) {
      this.#words[index] = (this.#words[index] ?? 0) | word;
    }
    this.#end = Math.max(this.#end, words.length);
  }

  /** Number of ranges. */
  get rangeCount(): number {
    let count = 0;
    let last = 0;
    for (let word = 0; word < this.#end; word++) {
      const bits = this.#words[word] ?? 0;
      count += onesIn(bits & ~((bits << 1) | last));
      last = bits >>> (WORD_BITS - 1);
    }
    return count;
  }

  /** Yields the ranges, ascending; they do not touch. */
  *ranges(): Iterable<SlotRange> {
    const end = this.#end * WORD_BITS;
    for (let slot = 0; slot < end;) {
      if (!this.#has(slot)) {
        slot += 1;
        continue;
      }
      const first = slot;
      while (slot < end && this.#has(slot)) {
        slot += 1;
      }
      yield { first, count: slot - first };
    }
  }

  #has(slot: number): boolean {
    return (((this.#words[slot >>> 4] ?? 0) >>> (slot & 15)) & 1) !== 0;
  }
}

function onesIn(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) {
    count += 1;
  }
  return count;
}
