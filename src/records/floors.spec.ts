import fc from 'fast-check';
import { judge, type Floors, type SeenPoint } from './floors.ts';

const DAY = 86_400_000;
const NOW = 1_000 * DAY + DAY / 2;
const FLOORS: Floors = { points: 3, youngMs: 7 * DAY, dailyShare: 0.25 };

function point(id: string, daysAgo: number, more: Partial<SeenPoint> = {}): SeenPoint {
  return {
    ...{ vmId: 'vm', id, sinceMs: NOW - daysAgo * DAY, isStanding: true, isInDoubt: false },
    ...more,
  };
}

/** A point each day, from so many days ago on. */
function days(from: number, to = 0): SeenPoint[] {
  return Array.from({ length: from - to + 1 }, (_, index) =>
    point(`d${String(from - index)}`, from - index),
  );
}

function given(seen: readonly SeenPoint[], ids: readonly string[], floors = FLOORS): string[] {
  const orders = ids.map((id) => ({ vmId: 'vm', id }));
  return judge(seen, orders, floors, NOW).giveUp.map(({ id }) => id);
}

function refusal(seen: readonly SeenPoint[], id: string): string | undefined {
  return judge(seen, [{ vmId: 'vm', id }], FLOORS, NOW).kept[0]?.because;
}

const ids = (seen: readonly SeenPoint[]): string[] => seen.map(({ id }) => id);

describe('the floors of a collector', () => {
  it('let old points go, the oldest first, a share of them a day', () => {
    const seen = days(26);
    // Twenty are a week old or older: five may go.
    expect(given(seen, ids(seen))).toEqual(['d26', 'd25', 'd24', 'd23', 'd22']);
  });

  it('keep what is young', () => {
    expect(refusal(days(26), 'd6')).toBe('young');
    expect(refusal(days(26), 'd7')).toBe('floor');
    expect(refusal([...days(26), point('x', 6.999)], 'x')).toBe('young');
  });

  it('keep the first of each of the newest days, and never fewer than so many', () => {
    const all = { ...FLOORS, dailyShare: 1 };
    const seen = [...days(12, 7), point('later', 8.9)];
    expect(given(seen, ids(seen), all)).toEqual(['d12', 'd11', 'd10', 'later']);
    const oneDay = ['a', 'b', 'c', 'd', 'e'].map((id, index) => point(id, 10 - index / 100));
    expect(given(oneDay, ids(oneDay), all)).toEqual(['b', 'c']);
  });

  it('are not moved by any number of new points', () => {
    const good = days(30, 7);
    const bad = Array.from({ length: 5000 }, (_, index) => point(`bad${String(index)}`, 1));
    expect(given([...good, ...bad], ids(good))).toEqual(given(good, ids(good)));
  });

  it('count what was given up in the last 24 hours, also by others, also if it stands', () => {
    const gone = (hours: number, isStanding: boolean): SeenPoint[] =>
      ['x', 'y', 'z'].map((id) =>
        point(id, 40, { isStanding, givenUpAtMs: NOW - hours * (DAY / 24) }),
      );
    const seen = days(26);
    expect(given([...seen, ...gone(23, false)], ids(seen))).toHaveLength(2);
    expect(given([...seen, ...gone(25, false)], ids(seen))).toHaveLength(5);
    expect(given([...seen, ...gone(23, true)], ids(seen))).toHaveLength(2);
  });

  it('let nothing of a VM go while a point of it is in doubt', () => {
    const seen = [...days(26), point('q', 9, { isStanding: false, isInDoubt: true })];
    expect(refusal(seen, 'd26')).toBe('in-doubt');
    const other = seen.map((one) => (one.id === 'q' ? { ...one, vmId: 'other' } : one));
    expect(refusal(other, 'd26')).toBeUndefined();
  });

  it('do not know points that do not stand, or that are of another VM', () => {
    expect(refusal([...days(26), point('q', 9, { isStanding: false })], 'q')).toBe('unknown');
    expect(refusal(days(26, 8).concat(point('q', 30, { vmId: 'other' })), 'q')).toBe('unknown');
  });

  it('keep at least what they promise, of any history and for any orders', () => {
    const seen = fc.array(
      fc.record({
        vmId: fc.constantFrom('a', 'b'),
        sinceMs: fc.integer({ min: NOW - 40 * DAY, max: NOW }),
        isStanding: fc.boolean(),
        isInDoubt: fc.constant(false),
        givenUpAtMs: fc.option(fc.integer({ min: NOW - 2 * DAY, max: NOW }), { nil: undefined }),
      }),
      { maxLength: 60 },
    );
    const limits = fc.record({
      points: fc.integer({ min: 1, max: 9 }),
      youngMs: fc.integer({ min: 0, max: 10 * DAY }),
      dailyShare: fc.double({ min: 0.01, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(seen, limits, fc.integer({ min: 0, max: 30 }), (history, floors, extra) => {
        const points = history.map((one, index) => ({ ...one, id: `p${String(index)}` }));
        const bad = Array.from({ length: extra }, (_, index) => ({
          ...{ vmId: 'a', id: `bad${String(index)}`, sinceMs: NOW - floors.youngMs + 1 },
          ...{ isStanding: true, isInDoubt: false },
        }));
        const all = [...points, ...bad];
        const { giveUp, kept } = judge(all, [...all, ...all], floors, NOW);
        const without = judge(points, points, floors, NOW).giveUp;
        expect(giveUp.map(({ id }) => id)).toEqual(without.map(({ id }) => id));
        expect(giveUp.length + kept.length).toBe(all.length);
        const gone = new Set(giveUp.map(({ id }) => id));
        for (const vm of ['a', 'b']) {
          const aged = points.filter(
            ({ vmId, sinceMs, isStanding }) =>
              vmId === vm && isStanding && sinceMs <= NOW - floors.youngMs,
          );
          const left = aged.filter(({ id }) => !gone.has(id));
          expect(left.length).toBeGreaterThanOrEqual(Math.min(floors.points, aged.length));
          const daysOf = (some: typeof aged): Set<number> =>
            new Set(some.map(({ sinceMs }) => Math.floor(sinceMs / DAY)));
          const newest = [...daysOf(aged)].sort((a, b) => b - a).slice(0, floors.points);
          expect(newest.every((day) => daysOf(left).has(day))).toBe(true);
        }
        expect(giveUp.every(({ sinceMs }) => sinceMs <= NOW - floors.youngMs)).toBe(true);
      }),
    );
  });
});
