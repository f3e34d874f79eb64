import { latestComplete, pointSets, type PointOfSet } from './point-sets.ts';

const point = (id: string, vmId: string, origin?: PointOfSet['origin']): PointOfSet => ({
  ...{ id, vmId, takenAtMs: Number(id) },
  ...(origin && { origin }),
});
const members = ['db', 'web'];

describe('pointSets', () => {
  it('finds the points of one moment, and which of them is whole', () => {
    const sets = pointSets([
      point('1', 'db', { group: 'a', members }),
      point('2', 'web', { group: 'a', members }),
      point('3', 'db'),
      point('4', 'web', { group: 'b', members }),
      point('5', 'web', { group: 'c' }),
    ]);

    expect(
      sets.map(({ groupId, takenAtMs, missing, isComplete }) => {
        return [groupId, takenAtMs, missing, isComplete];
      }),
    ).toEqual([
      ['a', 1, [], true],
      ['b', 4, ['db'], false],
      ['c', 5, [], false],
    ]);
    expect(sets[0]?.points.map(({ id }) => id)).toEqual(['1', '2']);
  });

  it('never chooses an incomplete set as the latest, however new it is', () => {
    const whole = (group: string, at: number) => [
      point(String(at), 'db', { group, members }),
      point(String(at + 1), 'web', { group, members }),
    ];
    const sets = pointSets([
      ...whole('a', 1),
      ...whole('b', 3),
      point('5', 'db', { group: 'c', members }),
    ]);

    expect(latestComplete(sets)?.groupId).toBe('b');
    expect(latestComplete(sets.slice(2))).toBeUndefined();
  });
});
