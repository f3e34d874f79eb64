import { ByteReader, ByteWriter, require } from './binary.ts';
import { SLOTS_MAX } from './pack-layout.ts';
import { ulidBytes, ulidText, type Ulid } from './ulid.ts';

/** Slots [first, first + count). */
export interface SlotRange {
  readonly first: number;
  readonly count: number;
}

const PACKS_MAX = 4 * 1024 * 1024;

/** Sets of slots as `gc/` and `bad/` carry them: docs/vault-format.md, section 5. */
export class SlotSet {
  readonly #packs = new Map<Ulid, 'all' | SlotRange[]>();

  get isEmpty(): boolean {
    return this.#packs.size === 0;
  }

  has(pack: Ulid, slot: number): boolean {
    const ranges = this.#packs.get(pack);
    return (
      ranges === 'all' ||
      (ranges?.some(({ first, count }) => slot >= first && slot < first + count) ?? false)
    );
  }

  /** What is in the set of one pack. */
  of(pack: Ulid): 'all' | readonly SlotRange[] | undefined {
    return this.#packs.get(pack);
  }

  packs(): Iterable<Ulid> {
    return this.#packs.keys();
  }

  add(pack: Ulid, slots: 'all' | readonly SlotRange[]): void {
    const known = this.#packs.get(pack);
    this.#packs.set(
      pack,
      slots === 'all' || known === 'all' ? 'all' : [...(known ?? []), ...slots],
    );
  }

  addAll(other: SlotSet): void {
    for (const pack of other.packs()) {
      this.add(pack, other.of(pack) ?? []);
    }
  }

  encode(): Buffer {
    const writer = new ByteWriter().varint(this.#packs.size);
    for (const [pack, ranges] of this.#packs) {
      writer.bytes(ulidBytes(pack));
      const list = ranges === 'all' ? [] : ranges.toSorted((a, b) => a.first - b.first);
      writer.varint(list.length);
      let end = 0;
      for (const { first, count } of list) {
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
    for (let left = reader.varint(PACKS_MAX); left > 0; left--) {
      const pack = ulidText(reader.bytes(16));
      const count = reader.varint(SLOTS_MAX);
      const ranges: SlotRange[] = [];
      let end = 0;
      for (let i = 0; i < count; i++) {
        const first = end + reader.varint(SLOTS_MAX);
        const length = reader.varint(SLOTS_MAX);
        require(length > 0 && first + length <= SLOTS_MAX, 'a range of slots is impossible');
        ranges.push({ first, count: length });
        end = first + length;
      }
      set.add(pack, count === 0 ? 'all' : ranges);
    }
    reader.end();
    return set;
  }
}
