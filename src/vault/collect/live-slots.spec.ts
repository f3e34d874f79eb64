import fc from 'fast-check';
import { newUlid } from '../ulid.ts';
import { ALL_PACKS, LiveSlots } from './live-slots.ts';

const SLAB = 2 ** 20;
const packs = Array.from({ length: 40 }, (_, index) => newUlid(index));

/** Slots of some packs, in any order; packs differ in size. */
const adds = fc.array(
  fc.record({ pack: fc.nat(packs.length - 1), slot: fc.nat(65_534), whole: fc.nat(400) }),
  { maxLength: 400 },
);
const slotsOf = (pack: number): number => (pack % 3 === 0 ? 20 : 20_000);

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
      for (const pack of many) {
        const handle = live.handle(pack);
        live.add(handle, 3, 16_000);
        live.add(handle, 15_999, 16_000);
      }
      const own = many.filter((ulid) => live.isInShare(ulid));
      for (const pack of own) {
        seen.set(pack, (seen.get(pack) ?? 0) + 1);
      }
      const isRight = (handle: number): boolean => live.has(handle, 15_999) && !live.has(handle, 4);
      expect(own.every((pack) => isRight(live.handle(pack)))).toBe(true);
      expect(live.bytes).toBeLessThanOrEqual(bytesMax + many.length * 64);
      shares.push(from);
      from = live.share.to;
    }
    expect(seen.size).toBe(many.length);
    expect(Math.max(...seen.values())).toBe(1);
    expect(shares.length).toBeGreaterThan(1);
    expect(shares.length).toBeLessThan(9);
  });

  it('takes no room for packs that are needed whole, whatever the order', () => {
    const live = new LiveSlots({ bytesMax: 2 * SLAB });
    for (let pack = 0; pack < 3000; pack++) {
      const handle = live.handle(newUlid(pack));
      for (let slot = 0; slot < 9000; slot += 170) {
        live.add(handle, slot, 9000);
      }
      live.addAll(handle);
    }
    expect(live.share).toEqual(ALL_PACKS);
    expect(live.bytes).toBeLessThan(3 * SLAB + 3000 * 64);
  });

  it('keeps all of a lasting pack, and packs that belong together in one share', () => {
    const [first = '', second = ''] = packs;
    const live = new LiveSlots({
      bytesMax: 0,
      together: (pack) => (pack === second ? first : pack),
    });
    const lasting = packs.slice(20).map((ulid) => live.handle(ulid, true));
    for (const ulid of packs) {
      expect(live.add(live.handle(ulid), 7)).toBe(live.handle(ulid) < 20 || live.isInShare(ulid));
    }
    expect(live.isInShare(first)).toBe(live.isInShare(second));
    expect(lasting.every((handle) => live.has(handle, 7))).toBe(true);
    const ignored = packs.slice(0, 20).find((ulid) => !live.isInShare(ulid)) ?? '';
    expect(() => live.handle(ignored, true)).toThrow('not all');
  });
});
