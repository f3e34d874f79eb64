import assert from 'node:assert/strict';
import type { Ulid } from '../../bytes/ulid.ts';
import { grownCapacity, hashOfUlid, UlidTable } from '../../bytes/ulid-table.ts';

const SLAB_UNITS = 2 ** 18;
/** The unit of allocation: blocks are multiples of it, slabs are `SLAB_UNITS` of it. */
const UNIT_BYTES = 4;
const UNIT_SLOTS = UNIT_BYTES * 8;
const SLAB_BYTES = SLAB_UNITS * UNIT_BYTES;
const NOTHING = -1;
const EVERYTHING = -2;
/** The pack is in another share. `IGNORED` if, besides, something of it was added. */
const OUTSIDE = -3;
const IGNORED = -4;
const PLACES = 2 ** 32;
/**
 * The smallest share: the maps are walked once per share. What a collection allows fits into two.
 */
const SHARE_MIN = PLACES / 8;

/**
 * Selects packs by their places, which are spread evenly over 32 bits: from `from` to before `to`.
 */
export interface PackShare {
  readonly from: number;
  readonly to: number;
}

export const ALL_PACKS: PackShare = { from: 0, to: PLACES };

export interface LiveSlotsRules {
  /** Where the share begins. Default 0. */
  readonly from?: number;
  /** Limit for the bits. What exceeds it leaves the share. Default: no limit. */
  readonly bytesMax?: number;
  /**
   * Returns the pack whose place counts for this one, so that packs that belong together are in the
   * same share.
   */
  readonly together?: (pack: Ulid) => Ulid;
}

/**
 * Which slots of which logical packs are needed: a bit each, in large slabs, because a buffer per
 * pack costs more than its content. A fully needed pack takes no bits. When the bits exceed their
 * limit, the share is halved and the other half is forgotten: the caller marks it in another round.
 */
export class LiveSlots {
  readonly #packs = new UlidTable();
  readonly #bytesMax: number;
  readonly #together: (pack: Ulid) => Ulid;
  /** Per pack: where its block begins, in units over all slabs, or one of the above. */
  #at = new Int32Array(grownCapacity(0));
  #units = new Uint16Array(this.#at.length);
  #count = new Uint16Array(this.#at.length);
  /** Packs that belong to every share. */
  #lasting = new Uint8Array(this.#at.length);
  #slabs: Uint8Array[] = [];
  #end = 0;
  #freeUnits = 0;
  #share: PackShare;

  constructor({ from = 0, bytesMax = Infinity, together }: LiveSlotsRules = {}) {
    this.#bytesMax = bytesMax;
    this.#together = together ?? ((pack) => pack);
    this.#share = { from, to: PLACES };
  }

  /** The packs of which everything that was added is known. */
  get share(): PackShare {
    return this.#share;
  }

  isInShare(pack: Ulid): boolean {
    return this.#isPlaced(this.handle(pack));
  }

  /**
   * Returns a small number for a pack, for the calls below.
   * @param lasting keeps the pack's slots whatever the share is
   */
  handle(pack: Ulid, lasting = false): number {
    const handle = this.#packs.find(pack) ?? this.#newHandle(pack);
    if (lasting && this.#lasting[handle] === 0) {
      assert(this.#at[handle] !== IGNORED, 'what is known of the pack is not all');
      this.#lasting[handle] = 1;
      if (this.#at[handle] === OUTSIDE) {
        this.#at[handle] = NOTHING;
      }
    }
    return handle;
  }

  ulid(handle: number): Ulid {
    return this.#packs.ulid(handle);
  }

  /**
   * @param slots how many slots the pack has, 0 if that is not known
   * @returns whether the slot is new; false for a pack outside the share
   */
  add(handle: number, slot: number, slots = 0): boolean {
    if (!this.#hasRoomFor(handle, slot, slots)) {
      this.#ignore(handle);
      return false;
    }
    const at = (this.#at[handle] ?? 0) * UNIT_BYTES + (slot >> 3);
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

  /** Adds the whole pack, whatever it holds. */
  addAll(handle: number): void {
    if ((this.#at[handle] ?? OUTSIDE) > OUTSIDE) {
      this.#release(handle, EVERYTHING);
    }
    this.#ignore(handle);
  }

  has(handle: number, slot: number): boolean {
    const at = this.#known(handle);
    if (at < 0 || slot >= this.#length(handle) * UNIT_SLOTS) {
      return at === EVERYTHING;
    }
    const byte = at * UNIT_BYTES + (slot >> 3);
    const bits = this.#slabs[Math.floor(byte / SLAB_BYTES)]?.[byte % SLAB_BYTES];
    return ((bits ?? 0) & (1 << (slot & 7))) !== 0;
  }

  isEmpty(handle: number): boolean {
    return this.#known(handle) === NOTHING;
  }

  isFull(handle: number): boolean {
    return this.#known(handle) === EVERYTHING;
  }

  /** Memory used, in bytes. */
  get bytes(): number {
    const perPack = this.#at.length * (4 + 2 + 2 + 1);
    return this.#slabs.length * SLAB_BYTES + perPack + this.#packs.bytes;
  }

  /** Refuses a pack outside the share: it must never pass for one that nobody needs. */
  #known(handle: number): number {
    const at = this.#at[handle] ?? OUTSIDE;
    assert(at > OUTSIDE, 'a pack of another share');
    return at;
  }

  #ignore(handle: number): void {
    if (this.#at[handle] === OUTSIDE) {
      this.#at[handle] = IGNORED;
    }
  }

  #newHandle(pack: Ulid): number {
    const handle = this.#packs.of(pack);
    if (handle >= this.#at.length) {
      const capacity = grownCapacity(handle);
      this.#at = enlarged(this.#at, new Int32Array(capacity));
      this.#units = enlarged(this.#units, new Uint16Array(capacity));
      this.#count = enlarged(this.#count, new Uint16Array(capacity));
      this.#lasting = enlarged(this.#lasting, new Uint8Array(capacity));
    }
    this.#at[handle] = this.#isPlaced(handle) ? NOTHING : OUTSIDE;
    return handle;
  }

  #isPlaced(handle: number): boolean {
    const { from, to } = this.#share;
    if (from === 0 && to === PLACES) {
      return true;
    }
    const pack = this.#packs.ulid(handle);
    const other = this.#together(pack);
    const place = other === pack ? this.#packs.hash(handle) : hashOfUlid(other);
    return place >= from && place < to;
  }

  /** Makes sure that the slot has a bit. @returns false if the pack left the share */
  #hasRoomFor(handle: number, slot: number, slots: number): boolean {
    if ((this.#at[handle] ?? OUTSIDE) < NOTHING) {
      return false;
    }
    const unit = Math.floor(slot / UNIT_SLOTS);
    return (
      unit < this.#length(handle) ||
      this.#grow(handle, Math.max(unit + 1, Math.ceil(slots / UNIT_SLOTS)))
    );
  }

  #length(handle: number): number {
    return this.#units[handle] ?? 0;
  }

  /** @returns false if the pack had to leave the share for lack of room */
  #grow(handle: number, units: number): boolean {
    const room = this.#take(units, handle);
    if (room === undefined) {
      return false;
    }
    // Read after `#take`, which may move blocks.
    const from = this.#at[handle] ?? NOTHING;
    const block = this.#block(room, units);
    block.fill(0);
    if (from >= 0) {
      block.set(this.#block(from, this.#length(handle)));
      this.#freeUnits += this.#length(handle);
    }
    this.#at[handle] = room;
    this.#units[handle] = units;
    return true;
  }

  #take(units: number, handle: number): number | undefined {
    const isTight = (this.#end % SLAB_UNITS) + units > SLAB_UNITS || this.#end % SLAB_UNITS === 0;
    if (isTight && this.#isFullUp) {
      this.#makeRoom();
      return (this.#at[handle] ?? OUTSIDE) <= OUTSIDE ? undefined : this.#take(units, handle);
    }
    if (isTight) {
      this.#end = this.#slabs.push(new Uint8Array(SLAB_BYTES)) * SLAB_UNITS - SLAB_UNITS;
    }
    const at = this.#end;
    this.#end += units;
    return at;
  }

  get #isFullUp(): boolean {
    const free = this.#freeUnits * UNIT_BYTES;
    const isLoose = free >= SLAB_BYTES && free > (this.#slabs.length * SLAB_BYTES) / 4;
    return isLoose || this.#isTooMuch;
  }

  /** Whether another slab would exceed the limit and the share can still be halved. */
  get #isTooMuch(): boolean {
    const bytes = (this.#slabs.length + 1) * SLAB_BYTES;
    return bytes > this.#bytesMax && this.#share.to - this.#share.from > SHARE_MIN;
  }

  #makeRoom(): void {
    if (this.#freeUnits * UNIT_BYTES < SLAB_BYTES) {
      this.#halve();
    }
    this.#closeGaps();
  }

  #halve(): void {
    const { from, to } = this.#share;
    this.#share = { from, to: from + Math.ceil((to - from) / 2) };
    for (let handle = 0; handle < this.#packs.count; handle++) {
      if (this.#lasting[handle] === 0 && !this.#isPlaced(handle)) {
        const at = this.#at[handle] ?? NOTHING;
        this.#release(handle, at === NOTHING || at === OUTSIDE ? OUTSIDE : IGNORED);
      }
    }
  }

  #release(handle: number, state: number): void {
    if ((this.#at[handle] ?? NOTHING) >= 0) {
      this.#freeUnits += this.#length(handle);
    }
    this.#at[handle] = state;
    this.#units[handle] = 0;
  }

  /** Moves all blocks to the front and keeps their order. */
  #closeGaps(): void {
    const handles = Int32Array.from({ length: this.#packs.count }, (_, handle) => handle)
      .filter((handle) => (this.#at[handle] ?? NOTHING) >= 0)
      .sort((a, b) => (this.#at[a] ?? 0) - (this.#at[b] ?? 0));
    let end = 0;
    for (const handle of handles) {
      const units = this.#length(handle);
      const left = SLAB_UNITS - (end % SLAB_UNITS);
      if (units > left) {
        end += left;
      }
      const block = this.#block(this.#at[handle] ?? 0, units);
      this.#block(end, units).set(block);
      this.#at[handle] = end;
      end += units;
    }
    this.#end = end;
    this.#freeUnits = 0;
    this.#slabs = this.#slabs.slice(0, Math.ceil(end / SLAB_UNITS));
  }

  #block(at: number, units: number): Uint8Array {
    const start = (at % SLAB_UNITS) * UNIT_BYTES;
    const slab = this.#slabs[Math.floor(at / SLAB_UNITS)];
    return slab?.subarray(start, start + units * UNIT_BYTES) ?? NO_BLOCK;
  }
}

const NO_BLOCK = new Uint8Array();

function enlarged<T extends Int32Array | Uint16Array | Uint8Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
