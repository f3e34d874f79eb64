import { ByteReader, ByteWriter, demand } from '../bytes/binary.ts';
import { LIST_PACKS_MAX, SLOTS_MAX } from '../format/limits.ts';
import { SlotBits, type SlotRange } from './slot-bits.ts';
import { SlotBlocks } from './slot-blocks.ts';
import { ulidBytes, ulidText, type Ulid } from '../bytes/ulid.ts';
import { UlidTable } from '../bytes/ulid-table.ts';

export type { SlotRange } from './slot-bits.ts';

/** Questions that sets of slots answer. */
export interface SlotLookup {
  has(pack: Ulid, slot: number): boolean;
  /** Whether the set has the whole pack, whatever is in it. */
  hasAll(pack: Ulid): boolean;
  /** Whether the set has any slot of the pack. */
  touches(pack: Ulid): boolean;
}

/** Shared, because one pack at a time is put together. */
const bits = new SlotBits();

/**
 * Sets of slots as in `gc/` and `bad/`: docs/vault-format.md, section 5. In memory a pack takes 30
 * to 50 bytes, and a bit for each of its slots or four bytes for each range, whichever is less.
 */
export class SlotSet implements SlotLookup {
  readonly #packs = new UlidTable();
  readonly #blocks = new SlotBlocks();
  #changes = 0;

  get isEmpty(): boolean {
    return this.#packs.count === 0;
  }

  get packCount(): number {
    return this.#packs.count;
  }

  /** Memory used, in bytes. */
  get bytes(): number {
    return this.#packs.bytes + this.#blocks.bytes;
  }

  /** Changes whenever something is added. */
  get changes(): number {
    return this.#changes;
  }

  has(pack: Ulid, slot: number): boolean {
    const number = this.#packs.find(pack);
    return number !== undefined && this.#blocks.has(number, slot);
  }

  hasAll(pack: Ulid): boolean {
    const number = this.#packs.find(pack);
    return number !== undefined && this.#blocks.hasAll(number);
  }

  touches(pack: Ulid): boolean {
    return this.#packs.find(pack) !== undefined;
  }

  /** Returns what the set has of one pack: ranges are ascending and do not touch. */
  of(pack: Ulid): 'all' | readonly SlotRange[] | undefined {
    const number = this.#packs.find(pack);
    return number === undefined ? undefined : this.#of(number);
  }

  *packs(): Iterable<Ulid> {
    for (let number = 0; number < this.#packs.count; number++) {
      yield this.#packs.ulid(number);
    }
  }

  /** Adds slots. An empty list adds nothing, because where it is stored it stands for all slots. */
  add(pack: Ulid, slots: 'all' | readonly SlotRange[]): void {
    if (slots === 'all') {
      this.#change(pack, undefined);
    } else if (slots.length > 0) {
      this.#change(pack, () => {
        for (const range of slots) {
          bits.add(range);
        }
      });
    }
  }

  addAll(other: SlotSet): void {
    for (let number = 0; number < other.#packs.count; number++) {
      const isAll = other.#blocks.hasAll(number);
      const addSome = (): void => {
        other.#blocks.load(number, bits);
      };
      this.#change(other.#packs.ulid(number), isAll ? undefined : addSome);
    }
  }

  encode(): Buffer {
    const writer = new ByteWriter().varint(this.#packs.count);
    for (let number = 0; number < this.#packs.count; number++) {
      writer.bytes(ulidBytes(this.#packs.ulid(number)));
      const slots = this.#of(number);
      const ranges = slots === 'all' ? [] : slots;
      writer.varint(ranges.length);
      let end = 0;
      for (const { first, count } of ranges) {
        writer.varint(first - end).varint(count);
        end = first + count;
      }
    }
    return writer.finish();
  }

  /** @throws Malformed */
  static decode(bytes: Uint8Array): SlotSet {
    const set = new SlotSet();
    const reader = new ByteReader(bytes);
    for (let left = reader.varint(LIST_PACKS_MAX); left > 0; left--) {
      const pack = ulidText(reader.bytes(16));
      const count = reader.varint(SLOTS_MAX);
      const addSome = (): void => {
        readRanges(reader, count);
      };
      set.#change(pack, count === 0 ? undefined : addSome);
    }
    reader.end();
    return set;
  }

  #of(number: number): 'all' | readonly SlotRange[] {
    if (this.#blocks.hasAll(number)) {
      return 'all';
    }
    bits.clear();
    this.#blocks.load(number, bits);
    return [...bits.ranges()];
  }

  /** @param addSome sets the bits to add; without it the whole pack is added */
  #change(pack: Ulid, addSome: (() => void) | undefined): void {
    bits.clear();
    addSome?.();
    const number = this.#packs.of(pack);
    this.#changes += 1;
    if (addSome === undefined) {
      this.#blocks.setAll(number);
    } else if (!this.#blocks.hasAll(number)) {
      this.#blocks.load(number, bits);
      this.#blocks.store(number, bits);
    }
  }
}

/** Several sets taken as one. */
export class SlotUnion implements SlotLookup {
  readonly #sets: readonly SlotLookup[];

  constructor(...sets: readonly SlotLookup[]) {
    this.#sets = sets;
  }

  has(pack: Ulid, slot: number): boolean {
    return this.#sets.some((set) => set.has(pack, slot));
  }

  hasAll(pack: Ulid): boolean {
    return this.#sets.some((set) => set.hasAll(pack));
  }

  touches(pack: Ulid): boolean {
    return this.#sets.some((set) => set.touches(pack));
  }
}

function readRanges(reader: ByteReader, count: number): void {
  let end = 0;
  for (let i = 0; i < count; i++) {
    const first = end + reader.varint(SLOTS_MAX);
    const length = reader.varint(SLOTS_MAX);
    demand(length > 0 && first + length <= SLOTS_MAX, 'a range of slots is impossible');
    bits.add({ first, count: length });
    end = first + length;
  }
}
