import fc from 'fast-check';
import type { SectorRange } from './leaf-fragments.ts';
import { overlapping } from './overlapping-ranges.ts';

/** Ascending and disjoint, some of them touching. */
const RANGES = fc
  .array(fc.record({ gap: fc.nat(5), length: fc.integer({ min: 1, max: 7 }) }), { maxLength: 60 })
  .map((parts) => {
    let at = 0;
    return parts.map(({ gap, length }): SectorRange => {
      const from = at + gap;
      at = from + length;
      return { from, to: at };
    });
  });

/** An array that counts how often it is read. */
function counting<T extends object>(
  items: readonly T[],
): { items: readonly T[]; looks: () => number } {
  let looks = 0;
  const proxy = new Proxy(items, {
    get: (target, name) => {
      looks += typeof name === 'string' && /^\d+$/.test(name) ? 1 : 0;
      return Reflect.get(target, name) as unknown;
    },
  });
  return { items: proxy, looks: () => looks };
}

describe('overlapping', () => {
  it('finds what looking at every range finds', () => {
    const window = fc.record({ from: fc.nat(400), length: fc.integer({ min: 1, max: 60 }) });
    fc.assert(
      fc.property(RANGES, window, (ranges, { from, length }) => {
        const to = from + length;
        const all = ranges.filter((range) => range.from < to && range.to > from);
        expect(overlapping(ranges, { from, to })).toEqual(all);
      }),
    );
  });

  it('looks at few of many', () => {
    const many = Array.from({ length: 100_000 }, (_, at) => ({ from: at * 10, to: at * 10 + 1 }));
    const { items, looks } = counting(many);
    const windows = 1000;
    let found = 0;
    for (let window = 0; window < windows; window++) {
      found += overlapping(items, { from: window * 1000, to: (window + 1) * 1000 }).length;
    }

    expect(found).toBe(100_000);
    // Each range found is read twice, by the loop and by the slice, and each window searches for
    // its first.
    expect(looks()).toBeLessThanOrEqual(2 * found + windows * 19);
  });
});
