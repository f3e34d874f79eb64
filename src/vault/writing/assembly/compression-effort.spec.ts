import { CompressionEffort } from './compression-effort.ts';

const WAITED = { tookMs: 1000, stalledMs: 600 };
const HALF = { tookMs: 1000, stalledMs: 100 };
const BUSY = { tookMs: 1000, stalledMs: 0 };

function levels(effort: CompressionEffort, packs: readonly (typeof WAITED)[]): number[] {
  return packs.map((pack) => {
    effort.filled(pack);
    return effort.level;
  });
}

describe('how hard a backup compresses', () => {
  it('begins with what costs little and goes up while the store is what it waits for', () => {
    const effort = new CompressionEffort();

    expect(effort.level).toBe(2);
    expect(
      levels(
        effort,
        Array.from({ length: 7 }, () => WAITED),
      ),
    ).toEqual([3, 4, 5, 6, 7, 7, 7]);
  });

  it('stays where it is when the two are balanced, and goes down when the store keeps up', () => {
    const effort = new CompressionEffort();

    expect(levels(effort, [WAITED, WAITED, HALF, BUSY, BUSY, BUSY])).toEqual([3, 4, 4, 3, 2, 2]);
  });

  it('keeps a level that was asked for', () => {
    expect(levels(new CompressionEffort(1), [WAITED, BUSY])).toEqual([1, 1]);
  });
});
