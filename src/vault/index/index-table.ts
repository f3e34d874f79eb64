import assert from 'node:assert/strict';
import { ID_BYTES } from '../chunks/chunk-id.ts';
import { PACK_USABLE } from '../packs/pack-numbers.ts';
import type { SlotPlace } from '../slots/slot-place.ts';

/**
 * Maps chunk ids to slots, by open addressing in shared memory. One thread inserts; all threads
 * look up without locks, because the last word of an entry is stored last and atomically.
 *
 * Entry: four words of id, pack number, slot << 8 | sectors. If the last word is 0 the entry is
 * free; if its sectors are 0 it was removed. The entry has the whole id and the length, so a hit
 * needs no look into a footer; only authenticated footers are ever inserted.
 */
const WORDS = 6;
const REMOVED = 0x100;
const SECTORS_MASK = 0xff;
const LOAD_MAX = 0.7;

export function idWords(id: Uint8Array): Uint32Array {
  const words = new Uint32Array(4);
  const view = new DataView(id.buffer, id.byteOffset, ID_BYTES);
  for (let i = 0; i < 4; i++) {
    words[i] = view.getUint32(i * 4, true);
  }
  return words;
}

export class IndexTable {
  readonly words: Int32Array;
  readonly capacity: number;
  #used = 0;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory);
    this.capacity = this.words.length / WORDS;
    assert(Number.isInteger(Math.log2(this.capacity)), 'capacity is a power of two');
  }

  static ofCapacity(capacity: number): IndexTable {
    return new IndexTable(new SharedArrayBuffer(capacity * WORDS * 4));
  }

  get memory(): SharedArrayBuffer {
    return this.words.buffer as SharedArrayBuffer;
  }

  hasRoomFor(count: number): boolean {
    return this.#used + count <= this.capacity * LOAD_MAX;
  }

  /** Adds or replaces an entry. The caller has made room. */
  insert(id: Uint32Array, place: SlotPlace, sectors: number): void {
    const at = this.#find(id) ?? this.#free(id);
    if (this.words[at + 5] === 0) {
      this.#used += 1;
    }
    Atomics.store(this.words, at + 5, REMOVED);
    for (let i = 0; i < 4; i++) {
      this.words[at + i] = id[i] ?? 0;
    }
    this.words[at + 4] = place.pack;
    Atomics.store(this.words, at + 5, (place.slot << 8) | sectors);
  }

  /**
   * Adds or replaces the slots of a pack from `first` on, except missing ones. The caller has made
   * room.
   * @param sectors per slot; 0 is a missing slot
   * @param ids 16 bytes per slot
   */
  insertSlots(
    { sectors, ids }: { readonly sectors: ArrayLike<number>; readonly ids: Uint8Array },
    { pack, first }: { readonly pack: number; readonly first: number },
    isWanted?: (slot: number) => boolean,
  ): void {
    const view = new DataView(ids.buffer, ids.byteOffset, ids.byteLength);
    const id = new Uint32Array(4);
    for (let index = 0; index < sectors.length; index++) {
      const size = sectors[index] ?? 0;
      if (size > 0 && isWanted?.(first + index) !== false) {
        for (let word = 0; word < 4; word++) {
          id[word] = view.getUint32(index * ID_BYTES + word * 4, true);
        }
        this.insert(id, { pack, slot: first + index }, size);
      }
    }
  }

  /** Removes the entry if it is for exactly this slot. */
  remove(id: Uint32Array, place: SlotPlace): void {
    const at = this.#find(id);
    if (
      at !== undefined &&
      this.words[at + 4] === place.pack &&
      (this.words[at + 5] ?? 0) >>> 8 === place.slot
    ) {
      Atomics.store(this.words, at + 5, REMOVED);
    }
  }

  /** Removes the entries in [from, to) whose slot is wanted. */
  removeWhere(isWanted: (place: SlotPlace) => boolean, from: number, to: number): void {
    for (let entry = from; entry < Math.min(to, this.capacity); entry++) {
      const at = entry * WORDS;
      const last = Atomics.load(this.words, at + 5);
      const isUsed = (last & SECTORS_MASK) !== 0;
      if (isUsed && isWanted({ pack: this.words[at + 4] ?? 0, slot: last >>> 8 })) {
        Atomics.store(this.words, at + 5, REMOVED);
      }
    }
  }

  /**
   * Returns the slot with this content, if its pack may be used: it is in the vault, or `session`
   * itself is writing it.
   */
  lookup(
    id: Uint32Array,
    sectors: number,
    packs: { readonly states: Int32Array; readonly session: number },
  ): SlotPlace | undefined {
    const at = this.#find(id);
    if (at === undefined) {
      return undefined;
    }
    const last = Atomics.load(this.words, at + 5);
    const pack = this.words[at + 4] ?? 0;
    const state = Atomics.load(packs.states, pack);
    if ((last & SECTORS_MASK) !== sectors || (state !== PACK_USABLE && state !== packs.session)) {
      return undefined;
    }
    return { pack, slot: last >>> 8 };
  }

  /** Copies entries [from, to), or those of them that are wanted, into another table. */
  copyTo(
    target: IndexTable,
    from: number,
    to: number,
    isWanted: (id: Uint32Array, place: SlotPlace) => boolean = () => true,
  ): void {
    const id = new Uint32Array(4);
    for (let entry = from; entry < Math.min(to, this.capacity); entry++) {
      const at = entry * WORDS;
      const last = this.words[at + 5] ?? 0;
      if ((last & SECTORS_MASK) !== 0) {
        for (let i = 0; i < 4; i++) {
          id[i] = this.words[at + i] ?? 0;
        }
        const place = { pack: this.words[at + 4] ?? 0, slot: last >>> 8 };
        if (isWanted(id, place)) {
          target.insert(id, place, last & SECTORS_MASK);
        }
      }
    }
  }

  #find(id: Uint32Array): number | undefined {
    const [a, b, c, d] = [id[0] ?? 0, id[1] ?? 0, id[2] ?? 0, id[3] ?? 0];
    for (let entry = a & (this.capacity - 1); ; entry = (entry + 1) & (this.capacity - 1)) {
      const at = entry * WORDS;
      const last = Atomics.load(this.words, at + 5);
      if (last === 0) {
        return undefined;
      }
      if (
        (last & SECTORS_MASK) !== 0 &&
        this.words[at] === (a | 0) &&
        this.words[at + 1] === (b | 0) &&
        this.words[at + 2] === (c | 0) &&
        this.words[at + 3] === (d | 0)
      ) {
        return at;
      }
    }
  }

  /** Finds a free entry. Never reuses a removed one: a reader could be in the middle of it. */
  #free(id: Uint32Array): number {
    for (
      let entry = (id[0] ?? 0) & (this.capacity - 1);
      ;
      entry = (entry + 1) & (this.capacity - 1)
    ) {
      if (this.words[entry * WORDS + 5] === 0) {
        return entry * WORDS;
      }
    }
  }
}
