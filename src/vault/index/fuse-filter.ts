/**
 * A binary fuse filter (Graf and Lemire, 2022): tells whether a key may be in a set, at about 1.15
 * times the bits of a fingerprint per key. It says yes to every key of the set and to one in 2^bits
 * of the others.
 *
 * Keys are two words of a keyed hash, so that nobody outside can choose them. Each must occur once.
 */

/** The shape of a filter; its packed fingerprints are kept elsewhere. */
export interface FuseShape {
  readonly seed: number;
  /** Fingerprints are spread over windows of this many places; a power of two. */
  readonly window: number;
  /** The first of a key's three places is in [0, starts). */
  readonly starts: number;
}

const SEEDS_MAX = 100;
const WINDOW_MAX = 2 ** 16;

function placesOf({ starts, window }: FuseShape): number {
  return starts + 2 * window;
}

/**
 * Returns the bytes of the packed fingerprints: one more than needed, so that a reader can always
 * take two.
 */
export function filterBytes(shape: FuseShape, bits: number): number {
  return Math.ceil((placesOf(shape) * bits) / 8) + 1;
}

function shapeFor(count: number, seed: number): FuseShape {
  const exponent = count < 2 ? 2 : Math.floor(Math.log(count) / Math.log(3.33) + 2.25);
  const window = Math.min(WINDOW_MAX, 2 ** exponent);
  const factor = count < 2 ? 0 : Math.max(1.125, 0.875 + (0.25 * Math.log(1e6)) / Math.log(count));
  const windows = Math.max(1, Math.ceil((count * factor) / window) - 2);
  return { seed, window, starts: windows * window };
}

/** Working memory for building filters one after another. */
export class FuseBuilder {
  #counts = new Uint8Array(0);
  #keys = new Uint32Array(0);
  #order = new Uint32Array(0);
  #turns = new Uint8Array(0);
  #queue = new Uint32Array(0);
  #places = new Uint8Array(0);

  /** @param bits length of a fingerprint, 1 to 8 */
  build(
    high: Uint32Array,
    low: Uint32Array,
    count: number,
    bits: number,
  ): { shape: FuseShape; bytes: Uint8Array } {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      const shape = shapeFor(count, Math.imul(seed, 0x9e37_79b1) >>> 0);
      this.#reserve(placesOf(shape), count);
      if (this.#peel(high, low, count, shape)) {
        this.#assign(high, low, { count, shape, bits });
        return { shape, bytes: this.#pack(shape, bits) };
      }
    }
    throw new RangeError('no seed makes a filter: are keys there twice?');
  }

  #reserve(places: number, count: number): void {
    if (this.#counts.length < places) {
      this.#counts = new Uint8Array(places);
      this.#keys = new Uint32Array(places);
      this.#queue = new Uint32Array(places);
      this.#places = new Uint8Array(places);
    }
    if (this.#order.length < count) {
      this.#order = new Uint32Array(count);
      this.#turns = new Uint8Array(count);
    }
    this.#counts.fill(0, 0, places);
    this.#keys.fill(0, 0, places);
    this.#places.fill(0, 0, places);
  }

  /**
   * Finds an order in which each key has a place of its own. Returns false if this seed has none.
   */
  // eslint-disable-next-line complexity -- each read of a typed array counts as a branch
  #peel(high: Uint32Array, low: Uint32Array, count: number, shape: FuseShape): boolean {
    const counts = this.#counts;
    const keys = this.#keys;
    const at = new Uint32Array(3);
    for (let key = 0; key < count; key++) {
      placesInto(at, shape, high[key] ?? 0, low[key] ?? 0);
      for (let turn = 0; turn < 3; turn++) {
        const place = at[turn] ?? 0;
        // The number of keys at a place, and the exclusive or of which of their places this is.
        const next = ((counts[place] ?? 0) + 4) ^ turn;
        if (next > 255) {
          return false;
        }
        counts[place] = next;
        keys[place] = (keys[place] ?? 0) ^ key;
      }
    }
    const queue = this.#queue;
    let waiting = 0;
    const places = placesOf(shape);
    for (let place = 0; place < places; place++) {
      if ((counts[place] ?? 0) >> 2 === 1) {
        queue[waiting++] = place;
      }
    }
    let done = 0;
    while (waiting > 0) {
      const place = queue[--waiting] ?? 0;
      if ((counts[place] ?? 0) >> 2 !== 1) {
        continue;
      }
      const key = keys[place] ?? 0;
      this.#order[done] = key;
      this.#turns[done++] = (counts[place] ?? 0) & 3;
      placesInto(at, shape, high[key] ?? 0, low[key] ?? 0);
      for (let turn = 0; turn < 3; turn++) {
        const other = at[turn] ?? 0;
        const left = ((counts[other] ?? 0) - 4) ^ turn;
        counts[other] = left;
        keys[other] = (keys[other] ?? 0) ^ key;
        if (left >> 2 === 1) {
          queue[waiting++] = other;
        }
      }
    }
    return done === count;
  }

  // eslint-disable-next-line complexity -- each read of a typed array counts as a branch
  #assign(
    high: Uint32Array,
    low: Uint32Array,
    { count, shape, bits }: { count: number; shape: FuseShape; bits: number },
  ): void {
    const places = this.#places;
    const at = new Uint32Array(3);
    for (let index = count - 1; index >= 0; index--) {
      const key = this.#order[index] ?? 0;
      const [a, b] = [high[key] ?? 0, low[key] ?? 0];
      const print = placesInto(at, shape, a, b) >>> (32 - bits);
      const own = at[this.#turns[index] ?? 0] ?? 0;
      const others =
        (places[at[0] ?? 0] ?? 0) ^ (places[at[1] ?? 0] ?? 0) ^ (places[at[2] ?? 0] ?? 0);
      places[own] = print ^ others ^ (places[own] ?? 0);
    }
  }

  #pack(shape: FuseShape, bits: number): Uint8Array {
    const bytes = new Uint8Array(filterBytes(shape, bits));
    const places = placesOf(shape);
    for (let place = 0, bit = 0; place < places; place++, bit += bits) {
      const wide = (this.#places[place] ?? 0) << (bit & 7);
      const byte = bit >> 3;
      bytes[byte] = (bytes[byte] ?? 0) | (wide & 255);
      bytes[byte + 1] = (bytes[byte + 1] ?? 0) | (wide >> 8);
    }
    return bytes;
  }
}

/** A filter for a part of the keys, and where it lies in shared memory. */
export interface PlacedFilter extends FuseShape {
  readonly bytes: Uint8Array;
  /** Offset of its first byte. */
  readonly offset: number;
  readonly bits: number;
}

const scratch = new Uint32Array(3);

export function mayContain(filter: PlacedFilter, high: number, low: number): boolean {
  const { bytes, offset, bits } = filter;
  const print = placesInto(scratch, filter, high, low) >>> (32 - bits);
  const found =
    read(bytes, offset, bits, scratch[0] ?? 0) ^
    read(bytes, offset, bits, scratch[1] ?? 0) ^
    read(bytes, offset, bits, scratch[2] ?? 0);
  return found === print;
}

function read(bytes: Uint8Array, offset: number, bits: number, place: number): number {
  const bit = place * bits;
  const at = offset + Math.floor(bit / 8);
  const wide = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  return (wide >> (bit & 7)) & ((1 << bits) - 1);
}

/** Writes the three places of a key to `at`; returns 32 bits for its fingerprint. */
function placesInto(at: Uint32Array, shape: FuseShape, high: number, low: number): number {
  const a = mix(high ^ shape.seed, low);
  const b = mix(low ^ Math.imul(shape.seed, 0x85eb_ca6b), high);
  const first = Math.floor(((a >>> 0) * shape.starts) / 2 ** 32);
  const mask = shape.window - 1;
  at[0] = first;
  at[1] = (first + shape.window) ^ (b & mask);
  at[2] = (first + 2 * shape.window) ^ ((b >>> 16) & mask);
  return mix(a, b) >>> 0;
}

/** The finisher of MurmurHash3 over both words. */
function mix(word: number, other: number): number {
  let h = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b) ^ other;
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  h = Math.imul(h ^ (h >>> 16), 0x9e37_79b1);
  return h ^ (h >>> 15);
}
