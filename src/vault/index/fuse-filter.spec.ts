import { seededNumbers } from '../../../test/support/random/seeded-numbers.ts';
import { filterBytes, FuseBuilder, mayContain, type PlacedFilter } from './fuse-filter.ts';

function keys(seed: number, count: number): { high: Uint32Array; low: Uint32Array } {
  const next = seededNumbers(seed);
  const word = () => next(2 ** 32);
  return {
    high: Uint32Array.from({ length: count }, word),
    low: Uint32Array.from({ length: count }, word),
  };
}

describe('FuseBuilder', () => {
  const builder = new FuseBuilder();

  it.each([0, 1, 2, 3, 10, 100, 1000, 10_000])('knows each of %i keys, and few others', (count) => {
    for (const bits of [4, 5, 8]) {
      const { high, low } = keys(count + bits, count);
      const { shape, bytes } = builder.build(high, low, count, bits);
      expect(bytes.length).toBe(filterBytes(shape, bits));
      // Not at the start: the offset must be used.
      const memory = new Uint8Array(bytes.length + 7);
      memory.set(bytes, 7);
      const filter: PlacedFilter = { ...shape, bytes: memory, offset: 7, bits };
      expect(high.every((a, index) => mayContain(filter, a, low[index] ?? 0))).toBe(true);

      const others = keys(count + 1_000_003, 5_000);
      const wrong = others.high.filter((a, i) => mayContain(filter, a, others.low[i] ?? 0)).length;
      expect(wrong / 5_000).toBeLessThan(1.3 / 2 ** bits + 0.001);
    }
  });

  it('takes little more than the bits of its fingerprints', () => {
    const { high, low } = keys(7, 40_000);
    const { bytes } = builder.build(high, low, 40_000, 4);
    expect((bytes.length * 8) / 40_000).toBeLessThan(5.1);
  });

  it('says so when a key is there twice', () => {
    const twice = Uint32Array.of(5, 5, 6);
    expect(() => builder.build(twice, Uint32Array.of(1, 1, 2), 3, 8)).toThrow(RangeError);
  });
});
