import { totalLength } from '../disk/extent.ts';
import { proofRanges } from './proof-ranges.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const START_MS = Date.UTC(2026, 0, 10, 3);
const GIB = 1024 ** 3;

describe('the parts of a disk in which tracking is checked', () => {
  it.each([GIB, 10 * GIB + 512, 1024 * 1024, 5000])(
    'are a whole disk of %d bytes in thirty days, each byte once',
    (sizeBytes) => {
      const ranges = Array.from({ length: 30 }, (_, day) =>
        proofRanges(sizeBytes, {
          beforeMs: START_MS + (day - 1) * DAY_MS,
          nowMs: START_MS + day * DAY_MS,
        }),
      ).flat();

      const sorted = ranges.sort((a, b) => a.offset - b.offset);
      let end = 0;
      for (const { offset, length } of sorted) {
        expect(offset).toBe(end);
        end = offset + length;
      }
      expect(end).toBe(sizeBytes);
    },
  );

  it('are none for a second backup of one day, and none when the clock went back', () => {
    expect(proofRanges(GIB, { beforeMs: START_MS, nowMs: START_MS + DAY_MS / 2 })).toEqual([]);
    expect(proofRanges(GIB, { beforeMs: START_MS + 5 * DAY_MS, nowMs: START_MS })).toEqual([]);
  });

  it('make up for a few days without a backup, not for a month', () => {
    const after = (days: number): number =>
      totalLength(proofRanges(30 * GIB, { beforeMs: START_MS, nowMs: START_MS + days * DAY_MS }));

    expect(after(2)).toBe(2 * GIB);
    expect(after(30)).toBe(3 * GIB);
  });
});
