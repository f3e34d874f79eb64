import { randomInt } from 'node:crypto';
import { seededNumbers } from '../../../test/support/random/seeded-numbers.ts';
import { ByteWriter, Malformed } from '../bytes/binary.ts';
import { SLOTS_MAX } from '../format/limits.ts';
import { SlotSet, SlotUnion, type SlotRange } from './slot-set.ts';
import { newUlid, ulidBytes } from '../bytes/ulid.ts';

/** What a set must hold: all slots of a pack, or these. */
type Model = Map<string, 'all' | Set<number>>;

function addTo(model: Model, pack: string, slots: 'all' | readonly SlotRange[]): void {
  const known = model.get(pack);
  if (slots === 'all') {
    model.set(pack, 'all');
  } else if (known !== 'all' && slots.length > 0) {
    const all = known ?? new Set();
    for (const { first, count } of slots) {
      for (let slot = first; slot < first + count; slot++) {
        all.add(slot);
      }
    }
    model.set(pack, all);
  }
}

function rangesOf(slots: ReadonlySet<number>): SlotRange[] {
  const ranges: { first: number; count: number }[] = [];
  for (const slot of [...slots].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last.first + last.count === slot) {
      last.count += 1;
    } else {
      ranges.push({ first: slot, count: 1 });
    }
  }
  return ranges;
}

function expectSame(set: SlotSet, model: Model, packs: readonly string[]): void {
  expect([...set.packs()]).toEqual([...model.keys()]);
  expect(set.packCount).toBe(model.size);
  for (const pack of packs) {
    const slots = model.get(pack);
    expect(set.of(pack)).toEqual(slots instanceof Set ? rangesOf(slots) : slots);
    expect(set.touches(pack)).toBe(slots !== undefined);
    expect(set.hasAll(pack)).toBe(slots === 'all');
  }
}

/** Compares slots at random places. */
function expectSameSlots(
  sets: readonly SlotSet[],
  model: Model,
  next: (limit: number) => number,
): void {
  for (const [pack, slots] of model) {
    for (let tries = 0; tries < 60; tries++) {
      const slot = next([50, 2500, SLOTS_MAX][tries % 3] ?? 0);
      const isIn = slots === 'all' || slots.has(slot);
      if (sets.some((set) => set.has(pack, slot) !== isIn)) {
        throw new Error(`slot ${String(slot)} of ${pack}: it is ${isIn ? '' : 'not '}in the set`);
      }
    }
  }
}

/** Returns a few ranges near each other, or one slot anywhere, or many. */
function someRanges(next: (limit: number) => number): SlotRange[] {
  const largest = [40, 2000, SLOTS_MAX][next(3)] ?? 0;
  return Array.from({ length: [1, 3, 60][next(3)] ?? 0 }, () => {
    const first = next(largest);
    return { first, count: 1 + next(Math.min(next(2) === 0 ? 2 : 300, largest - first)) };
  });
}

describe('SlotSet', () => {
  const packs = Array.from({ length: 12 }, (_, index) => newUlid(index + 1));

  const seed = randomInt(2 ** 32);

  it(`is the set of what was added, also when it is written and read, seed ${seed}`, () => {
    const next = seededNumbers(seed);
    for (let round = 0; round < 6; round++) {
      const [set, model] = [new SlotSet(), new Map() as Model];
      const [other, otherModel] = [new SlotSet(), new Map() as Model];
      for (let step = 0; step < 60; step++) {
        const pack = packs[next(packs.length - 1)] ?? '';
        const slots = next(25) === 0 ? 'all' : someRanges(next);
        const isOther = next(4) === 0;
        (isOther ? other : set).add(pack, slots);
        addTo(isOther ? otherModel : model, pack, slots);
      }
      expectSame(set, model, packs);
      const changes = set.changes;
      set.addAll(other);
      expect(set.changes).toBeGreaterThan(changes);
      for (const [pack, slots] of otherModel) {
        addTo(model, pack, slots === 'all' ? slots : rangesOf(slots));
      }
      expectSame(set, model, packs);
      const read = SlotSet.decode(set.encode());
      expectSame(read, model, packs);
      expect(read.encode().equals(set.encode())).toBe(true);
      expectSameSlots([set, read], model, next);
    }
  });

  it('takes about a bit per slot however they lie, and so when it is changed often', () => {
    const PACKS = 150;
    const SLOTS = 1824;
    const ulids = Array.from({ length: PACKS }, (_, index) => newUlid(index + 1));
    const set = new SlotSet();
    for (let from = 0; from < SLOTS; from += SLOTS / 4) {
      const everyOther = Array.from({ length: SLOTS / 8 }, (_, at) => ({
        first: from + at * 2,
        count: 1,
      }));
      for (const ulid of ulids) {
        set.add(ulid, everyOther);
      }
    }
    // Blocks that were given up may take a quarter more, or a slab.
    expect(set.bytes).toBeLessThan(PACKS * (SLOTS / 8 + 60) * 1.25 + 2 ** 20);
    const wrong = ulids.filter((ulid) =>
      Array.from({ length: SLOTS }).some((_, slot) => set.has(ulid, slot) !== (slot % 2 === 0)),
    );
    expect(wrong).toEqual([]);
  });

  it('takes a pack that is listed twice for both, and refuses what cannot be', () => {
    const [pack = ''] = packs;
    const twice = new ByteWriter().varint(2);
    twice.bytes(ulidBytes(pack)).varint(0);
    twice.bytes(ulidBytes(pack)).varint(1).varint(7).varint(2);
    expect(SlotSet.decode(twice.finish()).of(pack)).toBe('all');

    const one = (first: number, count: number): Buffer =>
      new ByteWriter()
        .varint(1)
        .bytes(ulidBytes(pack))
        .varint(1)
        .varint(first)
        .varint(count)
        .finish();
    expect(SlotSet.decode(one(SLOTS_MAX - 1, 1)).has(pack, SLOTS_MAX - 1)).toBe(true);
    expect(() => SlotSet.decode(one(SLOTS_MAX - 1, 2))).toThrow(Malformed);
    expect(() => SlotSet.decode(one(3, 0))).toThrow(Malformed);
  });

  it('several taken as one have what any of them has', () => {
    const [a = '', b = '', c = '', d = ''] = packs;
    const [one, other] = [new SlotSet(), new SlotSet()];
    const both = new SlotUnion(one, other);
    one.add(a, [{ first: 1, count: 1 }]);
    other.add(a, [{ first: 2, count: 1 }]);
    other.add(b, 'all');
    one.add(c, [{ first: 0, count: 1 }]);

    expect([0, 1, 2, 3].filter((slot) => both.has(a, slot))).toEqual([1, 2]);
    expect([a, b, c, d].map((pack) => both.hasAll(pack))).toEqual([false, true, false, false]);
    expect([a, b, c, d].map((pack) => both.touches(pack))).toEqual([true, true, true, false]);
  });
});
