import { bytes, formatBytes, GiB, KiB, MiB } from './bytes.ts';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '0.98 KiB'],
    [1536 * MiB, '1.50 GiB'],
    [999 * KiB, '999 KiB'],
    [42.5 * GiB, '42.5 GiB'],
  ])('writes %d as %s', (count, text) => {
    expect(formatBytes(count)).toBe(text);
  });
});

describe('bytes', () => {
  it.each([-1, 1.5, Number.NaN, 2 ** 53])('refuses %d', (count) => {
    expect(() => bytes(count)).toThrow('not a byte count');
  });
});
