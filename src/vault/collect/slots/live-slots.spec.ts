import fc from 'fast-check';
import { newUlid } from '../../bytes/ulid.ts';
import { ALL_PACKS, LiveSlots } from './live-slots.ts';

const SLAB = 2 ** 20;
const packs = Array.from({ length: 40 }, (_, index) => newUlid(index));

/** Slots of some packs, in any order; packs differ in size. */
const adds = fc.array(
  fc.record({ pack: fc.nat(packs.length - 1), slot: fc.nat(65_534), whole: fc.nat(400) }),
  { maxLength: 400 },
);
const slotsOf = (pack: number): number => (pack % 3 === 0 ? 20 : 20_000);

const MANY_SLOTS = 16_000;

function addOwn(live: LiveSlots, pack: string, index: number): void {
  const handle = live.handle(pack);
  live.add(handle, index, MANY_SLOTS);
  live.add(handle, MANY_SLOTS - 1, MANY_SLOTS);
}

function hasOwn(live: LiveSlots, pack: string, index: number): boolean {
  const handle = live.handle(pack);
  return (
    live.has(handle, index) && live.has(handle, MANY_SLOTS - 1) && !live.has(handle, index + 1)
  );
}

describe('LiveSlots', () => {
  it.each([Infinity, 0])('knows what was added to its share, of %d bytes', (bytesMax) => {
    fc.assert(
      fc.property(adds, (list) => {
        const known = packs.map(() => new Set<number>());
        const live = new LiveSlots({ bytesMax });
        for (const { pack, slot, whole } of list) {
          const own = slot % slotsOf(pack);
          if (whole === 0) {
            live.addAll(live.handle(packs[pack] ?? ''));
            known[pack] = new Set(Array.from({ length: slotsOf(pack) }, (_, index) => index));
          } else {
            live.add(live.handle(packs[pack] ?? ''), own, slotsOf(pack));
            known[pack]?.add(own);
          }
        }
        for (const [index, slots] of known.entries()) {
          const ulid = packs[index] ?? '';
          const handle = live.handle(ulid);
          if (!live.isInShare(ulid)) {
            expect(() => live.isEmpty(handle)).toThrow('another share');
            continue;
          }
          expect(live.isEmpty(handle)).toBe(slots.size === 0);
          expect(live.isFull(handle)).toBe(slots.size === slotsOf(index));
          const asked = [...slots, ...Array.from({ length: 20 }, (_, slot) => slot)];
          expect(asked.filter((slot) => live.has(handle, slot) !== slots.has(slot))).toEqual([]);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('keeps to its memory by knowing fewer packs, each of which is in one of the shares', () => {
    const many = Array.from({ length: 4000 }, () => newUlid(1));
    const bytesMax = 3 * SLAB;
    const seen = new Map<string, number>();
    const shares: number[] = [];
    for (let from = ALL_PACKS.from; from < ALL_PACKS.to;) {
      const live = new LiveSlots({ from, bytesMax });
      for (const [index, pack] of many.entries()) {
        addOwn(live, pack, index);
      }
      for (const [index, pack] of many.entries()) {
        if (live.isInShare(pack)) {
          seen.set(pack, (seen.get(pack) ?? 0) + 1);
          expect(hasOwn(live, pack, index)).toBe(true);
        }
      }
      expect(live.bytes).toBeLessThanOrEqual(bytesMax + many.length * 64);
      shares.push(from);
      from = live.share.to;
    }
    expect(seen.size).toBe(many.length);
    expect(Math.max(...seen.values())).toBe(1);
    expect(shares.length).toBeGreaterThan(1);
    expect(shares.length).toBeLessThan(9);
  });

  it('takes no room for packs that are needed whole, and knows the others where they are moved', () => {
    const live = new LiveSlots({ bytesMax: 3 * SLAB });
    const others: { ulid: string; index: number }[] = [];
    for (let index = 0; index < 4000; index++) {
      const ulid = newUlid(index);
      addOwn(live, ulid, index);
      if (index % 8 === 0) {
        others.push({ ulid, index });
      } else {
        live.addAll(live.handle(ulid));
      }
    }
    expect(live.share).toEqual(ALL_PACKS);
    expect(live.bytes).toBeLessThan(3 * SLAB + 4000 * 64);
    expect(others.filter(({ ulid, index }) => !hasOwn(live, ulid, index))).toEqual([]);
  });

  it('keeps all of a lasting pack, and packs that belong together in one share', () => {
    const together = (pack: string): string => packs[Math.floor(packs.indexOf(pack) / 2) * 2] ?? '';
    const live = new LiveSlots({ bytesMax: 0, together });
    const lasting = packs.slice(20).map((ulid) => live.handle(ulid, true));
    for (const ulid of packs) {
      expect(live.add(live.handle(ulid), 7)).toBe(live.handle(ulid) < 20 || live.isInShare(ulid));
    }
    const alone = packs.filter((ulid) => live.isInShare(ulid) !== live.isInShare(together(ulid)));
    expect(alone).toEqual([]);
    expect(lasting.every((handle) => live.has(handle, 7))).toBe(true);
    const ignored = packs.slice(0, 20).find((ulid) => !live.isInShare(ulid)) ?? '';
    expect(() => live.handle(ignored, true)).toThrow('not all');
  });
});
