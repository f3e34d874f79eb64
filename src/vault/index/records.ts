/** A record is a chunk of a run: the first 8 bytes of its id, and the slot that holds it. */
export const RECORD_BYTES = 14;

const RADIX_BITS = 11;
const RADIX = 2 ** RADIX_BITS;

/**
 * Records in memory, one column per field. `high` and `low` are the id's first 8 bytes, big-endian.
 */
export class Records {
  readonly high: Uint32Array;
  readonly low: Uint32Array;
  /** Index into the file's table of packs. */
  readonly pack: Uint32Array;
  readonly slot: Uint16Array;
  count = 0;

  constructor(capacity: number) {
    this.high = new Uint32Array(capacity);
    this.low = new Uint32Array(capacity);
    this.pack = new Uint32Array(capacity);
    this.slot = new Uint16Array(capacity);
  }

  get capacity(): number {
    return this.high.length;
  }

  add(high: number, low: number, pack: number, slot: number): void {
    const at = this.count++;
    this.high[at] = high;
    this.low[at] = low;
    this.pack[at] = pack;
    this.slot[at] = slot;
  }

  /** Writes the records in the given order, as they stand in a file. @returns their bytes */
  encode(order: Uint32Array, target: Buffer): Buffer {
    // Records are whole words of 16 bits; Node runs on little-endian machines only.
    const words = new Uint16Array(
      target.buffer,
      target.byteOffset,
      (order.length * RECORD_BYTES) / 2,
    );
    let at = 0;
    for (const record of order) {
      const high = this.high[record] ?? 0;
      const low = this.low[record] ?? 0;
      const pack = this.pack[record] ?? 0;
      words[at] = high;
      words[at + 1] = high >>> 16;
      words[at + 2] = low;
      words[at + 3] = low >>> 16;
      words[at + 4] = pack;
      words[at + 5] = pack >>> 16;
      words[at + 6] = this.slot[record] ?? 0;
      at += RECORD_BYTES / 2;
    }
    return target.subarray(0, order.length * RECORD_BYTES);
  }
}

/** Sorts by the first word of the id; keeps its memory for the next call. */
export class RecordSorter {
  #order = new Uint32Array(0);
  #other = new Uint32Array(0);
  readonly #starts = new Uint32Array(RADIX);

  /**
   * Returns the positions of the records in ascending order of `high`. Valid until the next call.
   */
  sort({ high, count }: Records): Uint32Array {
    if (this.#order.length < count) {
      this.#order = new Uint32Array(count);
      this.#other = new Uint32Array(count);
    }
    for (let index = 0; index < count; index++) {
      this.#order[index] = index;
    }
    for (let shift = 0; shift < 32; shift += RADIX_BITS) {
      this.#pass(high, count, shift);
    }
    return this.#order.subarray(0, count);
  }

  #pass(high: Uint32Array, count: number, shift: number): void {
    const [order, other, starts] = [this.#order, this.#other, this.#starts];
    starts.fill(0);
    for (let index = 0; index < count; index++) {
      const digit = ((high[index] ?? 0) >>> shift) & (RADIX - 1);
      starts[digit] = (starts[digit] ?? 0) + 1;
    }
    let sum = 0;
    for (let digit = 0; digit < RADIX; digit++) {
      const many = starts[digit] ?? 0;
      starts[digit] = sum;
      sum += many;
    }
    for (let index = 0; index < count; index++) {
      const record = order[index] ?? 0;
      const digit = ((high[record] ?? 0) >>> shift) & (RADIX - 1);
      const at = starts[digit] ?? 0;
      other[at] = record;
      starts[digit] = at + 1;
    }
    this.#order = other;
    this.#other = order;
  }
}

/** Returns which of 2^bits buckets a key belongs to. */
export function bucketOf(high: number, bits: number): number {
  return bits === 0 ? 0 : high >>> (32 - bits);
}
