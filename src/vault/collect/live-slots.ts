import type { Ulid } from '../ulid.ts';

const SLAB_BYTES = 1024 * 1024;
/** Blocks are whole multiples of this. */
const UNIT_BYTES = 32;
const NOTHING = -1;
const EVERYTHING = -2;

/**
 * Which slots of which logical packs are needed: a bit each, in large slabs, because a buffer per
 * pack costs more than its content. A pack whose slots are all in takes no bits.
 */
export class LiveSlots {
  readonly #handles = new Map<Ulid, number>();
  readonly #ulids: Ulid[] = [];
  /** Per pack: where its block begins, counted over all slabs. */
  readonly #at: number[] = [];
  readonly #length: number[] = [];
  readonly #count: number[] = [];
  readonly #slabs: Uint8Array[] = [];
  readonly #free = new Map<number, number[]>();
  #end = 0;

  /** A small number for a pack, for the calls below. */
  handle(pack: Ulid): number {
    let handle = this.#handles.get(pack);
    if (handle === undefined) {
      handle = this.#ulids.push(pack) - 1;
      this.#handles.set(pack, handle);
      this.#at.push(NOTHING);
      this.#length.push(0);
      this.#count.push(0);
    }
    return handle;
  }

  ulid(handle: number): Ulid {
    return this.#ulids[handle] ?? '';
  }

  /**
   * @param slots how many slots the pack has, if that is known
   * @returns whether it was not in before
   */
  add(handle: number, slot: number, slots = 0): boolean {
    if (this.#at[handle] === EVERYTHING) {
      return false;
    }
    const byte = slot >> 3;
    if (byte >= (this.#length[handle] ?? 0)) {
      this.#grow(handle, Math.max(byte + 1, (slots + 7) >> 3));
    }
    const at = (this.#at[handle] ?? 0) + byte;
    const slab = this.#slabs[Math.floor(at / SLAB_BYTES)];
    const bits = slab?.[at % SLAB_BYTES] ?? 0;
    const bit = 1 << (slot & 7);
    if (slab === undefined || (bits & bit) !== 0) {
      return false;
    }
    slab[at % SLAB_BYTES] = bits | bit;
    const count = (this.#count[handle] ?? 0) + 1;
    this.#count[handle] = count;
    if (count === slots) {
      this.addAll(handle);
    }
    return true;
  }

  /** The whole pack, whatever is in it. */
  addAll(handle: number): void {
    this.#release(handle);
    this.#at[handle] = EVERYTHING;
    this.#length[handle] = 0;
  }

  has(handle: number, slot: number): boolean {
    const at = this.#at[handle] ?? NOTHING;
    const byte = slot >> 3;
    if (at < 0 || byte >= (this.#length[handle] ?? 0)) {
      return at === EVERYTHING;
    }
    const bits = this.#slabs[Math.floor((at + byte) / SLAB_BYTES)]?.[(at + byte) % SLAB_BYTES];
    return ((bits ?? 0) & (1 << (slot & 7))) !== 0;
  }

  isEmpty(handle: number): boolean {
    return this.#at[handle] === NOTHING;
  }

  isFull(handle: number): boolean {
    return this.#at[handle] === EVERYTHING;
  }

  /** Memory of the bits. */
  get bytes(): number {
    return this.#slabs.length * SLAB_BYTES;
  }

  #grow(handle: number, needed: number): void {
    const length = Math.ceil(needed / UNIT_BYTES) * UNIT_BYTES;
    const from = this.#at[handle] ?? NOTHING;
    const old = from < 0 ? undefined : this.#block(from, this.#length[handle] ?? 0);
    const at = this.#take(length);
    const block = this.#block(at, length);
    block.fill(0);
    if (old !== undefined) {
      block.set(old);
      this.#release(handle);
    }
    this.#at[handle] = at;
    this.#length[handle] = length;
  }

  #take(length: number): number {
    const free = this.#free.get(length)?.pop();
    if (free !== undefined) {
      return free;
    }
    if ((this.#end % SLAB_BYTES) + length > SLAB_BYTES || this.#end % SLAB_BYTES === 0) {
      this.#end = this.#slabs.push(new Uint8Array(SLAB_BYTES)) * SLAB_BYTES - SLAB_BYTES;
    }
    const at = this.#end;
    this.#end += length;
    return at;
  }

  #release(handle: number): void {
    const at = this.#at[handle] ?? NOTHING;
    const length = this.#length[handle] ?? 0;
    if (at >= 0) {
      const list = this.#free.get(length) ?? [];
      this.#free.set(length, list);
      list.push(at);
    }
  }

  #block(at: number, length: number): Uint8Array {
    const start = at % SLAB_BYTES;
    return this.#slabs[Math.floor(at / SLAB_BYTES)]?.subarray(start, start + length) ?? NO_BLOCK;
  }
}

const NO_BLOCK = new Uint8Array();
