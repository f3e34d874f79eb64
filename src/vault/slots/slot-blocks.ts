import type { SlotBits } from './slot-bits.ts';
import { grownCapacity } from '../bytes/ulid-table.ts';

const NOTHING = -1;
const EVERYTHING = -2;
/** The first word of a block says what follows: a bit per slot, or first and end of each range. */
const BITS = 0;
const RANGES = 1;
const SLAB_WORDS = 2 ** 18;
const FIRST_SLAB_WORDS = 2 ** 8;

/**
 * Slots of numbered packs, in blocks of 16-bit words: a bit per slot, or two words per range if
 * that is less. Blocks lie in large slabs, because a buffer per pack costs more than its content.
 */
export class SlotBlocks {
  /** By pack: where its block begins, in words over all slabs, or one of the constants above. */
  #at = new Int32Array(0);
  #words = new Uint16Array(0);
  #slabs: Uint16Array[] = [];
  /** Words used in the last slab, and words in all slabs that no block uses any more. */
  #used = 0;
  #freeWords = 0;

  /** Memory used, in bytes. */
  get bytes(): number {
    const slabs = this.#slabs.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return slabs + this.#at.byteLength + this.#words.byteLength;
  }

  hasAll(pack: number): boolean {
    return this.#at[pack] === EVERYTHING;
  }

  has(pack: number, slot: number): boolean {
    const at = this.#at[pack] ?? NOTHING;
    if (at < 0) {
      return at === EVERYTHING;
    }
    const slab = this.#slabs[Math.floor(at / SLAB_WORDS)] ?? NO_WORDS;
    const start = at % SLAB_WORDS;
    const end = start + (this.#words[pack] ?? 0);
    if (slab[start] === BITS) {
      const word = start + 1 + (slot >>> 4);
      return word < end && (((slab[word] ?? 0) >>> (slot & 15)) & 1) !== 0;
    }
    return isInRanges(slab, start + 1, end, slot);
  }

  setAll(pack: number): void {
    this.#release(pack);
    this.#at[pack] = EVERYTHING;
  }

  /** Adds the slots of a pack to `bits`, unless the pack is in it whole. */
  load(pack: number, bits: SlotBits): void {
    const at = this.#at[pack] ?? NOTHING;
    if (at < 0) {
      return;
    }
    const block = this.#block(at, this.#words[pack] ?? 0);
    if (block[0] === BITS) {
      bits.addWords(block.subarray(1));
      return;
    }
    for (let word = 1; word < block.length; word += 2) {
      const first = block[word] ?? 0;
      bits.add({ first, count: (block[word + 1] ?? 0) - first });
    }
  }

  /** Sets the slots of a pack. */
  store(pack: number, bits: SlotBits): void {
    this.#release(pack);
    const { words, rangeCount } = bits;
    const isShort = rangeCount * 2 < words.length;
    const length = 1 + (isShort ? rangeCount * 2 : words.length);
    const at = this.#take(length);
    const block = this.#block(at, length);
    block[0] = isShort ? RANGES : BITS;
    if (isShort) {
      let word = 1;
      for (const { first, count } of bits.ranges()) {
        block[word++] = first;
        block[word++] = first + count;
      }
    } else {
      block.set(words, 1);
    }
    this.#at[pack] = at;
    this.#words[pack] = length;
  }

  /** Forgets the block of a pack that has an entry. */
  #release(pack: number): void {
    if (pack >= this.#at.length) {
      const capacity = grownCapacity(pack);
      const at = new Int32Array(capacity).fill(NOTHING);
      const words = new Uint16Array(capacity);
      at.set(this.#at);
      words.set(this.#words);
      [this.#at, this.#words] = [at, words];
    }
    if ((this.#at[pack] ?? NOTHING) >= 0) {
      this.#freeWords += this.#words[pack] ?? 0;
      this.#at[pack] = NOTHING;
    }
  }

  #take(words: number): number {
    if (this.#freeWords >= SLAB_WORDS && this.#freeWords > (this.#slabs.length * SLAB_WORDS) / 4) {
      this.#closeGaps();
    }
    const last = this.#slabs.at(-1);
    const needed = this.#used + words;
    if (last === undefined || needed > SLAB_WORDS) {
      this.#slabs.push(new Uint16Array(last === undefined ? roomFor(words) : SLAB_WORDS));
      this.#used = 0;
    } else if (needed > last.length) {
      const larger = new Uint16Array(roomFor(needed));
      larger.set(last);
      this.#slabs[this.#slabs.length - 1] = larger;
    }
    const at = (this.#slabs.length - 1) * SLAB_WORDS + this.#used;
    this.#used += words;
    return at;
  }

  /** Moves all blocks to the front and keeps their order. */
  #closeGaps(): void {
    const packs = Int32Array.from(this.#at.keys())
      .filter((pack) => (this.#at[pack] ?? NOTHING) >= 0)
      .sort((a, b) => (this.#at[a] ?? 0) - (this.#at[b] ?? 0));
    let end = 0;
    for (const pack of packs) {
      const words = this.#words[pack] ?? 0;
      if ((end % SLAB_WORDS) + words > SLAB_WORDS) {
        end += SLAB_WORDS - (end % SLAB_WORDS);
      }
      this.#block(end, words).set(this.#block(this.#at[pack] ?? 0, words));
      this.#at[pack] = end;
      end += words;
    }
    this.#slabs = this.#slabs.slice(0, Math.ceil(end / SLAB_WORDS));
    this.#used = end - Math.max(0, this.#slabs.length - 1) * SLAB_WORDS;
    this.#freeWords = 0;
  }

  #block(at: number, words: number): Uint16Array {
    const start = at % SLAB_WORDS;
    return (this.#slabs[Math.floor(at / SLAB_WORDS)] ?? NO_WORDS).subarray(start, start + words);
  }
}

const NO_WORDS = new Uint16Array();

/** Size of the first slab, until it is as large as all others: most sets are small. */
function roomFor(words: number): number {
  return Math.max(FIRST_SLAB_WORDS, 2 ** Math.ceil(Math.log2(words)));
}

/** @param from offset of the first and end of each range */
function isInRanges(slab: Uint16Array, from: number, end: number, slot: number): boolean {
  let low = 0;
  let high = (end - from) / 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((slab[from + middle * 2] ?? 0) <= slot) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low > 0 && slot < (slab[from + low * 2 - 1] ?? 0);
}
