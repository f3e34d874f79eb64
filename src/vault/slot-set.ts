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
  /** Ranges are ascending and do not touch. */
  readonly #packs = new Map<Ulid, 'all' | readonly SlotRange[]>();

  get isEmpty(): boolean {
    return this.#packs.size === 0;
  }

  get packCount(): number {
    return this.#packs.size;
  }

  has(pack: Ulid, slot: number): boolean {
    const ranges = this.#packs.get(pack);
    return ranges === 'all' || (ranges !== undefined && covers(ranges, slot));
  }

  /** What is in the set of one pack. */
  of(pack: Ulid): 'all' | readonly SlotRange[] | undefined {
    return this.#packs.get(pack);
  }

  packs(): Iterable<Ulid> {
    return this.#packs.keys();
  }

  /** Without ranges nothing is added: an empty list stands for all slots where it is stored. */
  add(pack: Ulid, slots: 'all' | readonly SlotRange[]): void {
    const known = this.#packs.get(pack);
    if (slots === 'all' || known === 'all') {
      this.#packs.set(pack, 'all');
    } else if (slots.length > 0) {
      this.#packs.set(pack, joined([...(known ?? []), ...slots]));
    }
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
      const list = ranges === 'all' ? [] : ranges;
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

function joined(ranges: SlotRange[]): SlotRange[] {
  const result: { first: number; count: number }[] = [];
  for (const { first, count } of ranges.sort((a, b) => a.first - b.first)) {
    const last = result.at(-1);
    if (last !== undefined && first <= last.first + last.count) {
      last.count = Math.max(last.count, first + count - last.first);
    } else {
      result.push({ first, count });
    }
  }
  return result;
}

function covers(ranges: readonly SlotRange[], slot: number): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle]?.first ?? 0) <= slot) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const range = ranges[low - 1];
  return range !== undefined && slot < range.first + range.count;
}
