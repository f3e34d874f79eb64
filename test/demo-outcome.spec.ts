import type { Point } from '../src/api/contract/points.ts';
import type { Run } from '../src/api/contract/policy/runs.ts';
import { contradictions, dayTable, outcomeOf } from '../demo/day/outcome.ts';

const HOUR_MS = 3_600_000;

function run(id: string, more: Partial<Run> = {}): Run {
  const names = { policy: 'hourly', vmId: 'v', vmName: 'shop' };
  return { id, ...names, fireAtMs: 0, state: 'sealed', attempt: 1, pointId: `of-${id}`, ...more };
}

function point(id: string, ofRun: string): Point {
  const origin = { kind: 'policy', policy: 'hourly', revision: 1, run: ofRun, fireAtMs: 0 };
  return { id, origin: { ...origin, attempt: 1 } } as Point;
}

describe('The count at the end of the day', () => {
  it('agrees if each sealed run has its own point and no other', () => {
    const runs = [run('a'), run('b', { state: 'failed' })];

    expect(contradictions(runs, [point('of-a', 'a')])).toEqual([]);
  });

  it.each([
    ['no point', []],
    ['two points', [point('of-a', 'a'), point('other', 'a')]],
    ['the point of another run', [point('of-a', 'b')]],
    ['another point than it says', [point('other', 'a')]],
  ])('finds a sealed run with %s', (_, points) => {
    expect(contradictions([run('a')], points)).toHaveLength(1);
  });

  it('says what happened to a run, and why', () => {
    const fault = { code: 'store.unreachable', message: 'It does not answer.' };

    expect(outcomeOf(run('a', { attempt: 2 }))).toBe('sealed (attempt 2)');
    expect(outcomeOf(run('a', { state: 'failed', fault, why: 'the next run is due' }))).toBe(
      'failed: store.unreachable, the next run is due',
    );
  });

  it('shows an hour a line and a VM a column, also one that came later', () => {
    const runs = [run('b', { vmName: 'wiki', fireAtMs: HOUR_MS }), run('a')];

    expect(dayTable(runs, ['shop', 'wiki']).split('\n').slice(1, 3)).toEqual([
      expect.stringMatching(/^00:00 +sealed +-$/),
      expect.stringMatching(/^01:00 +- +sealed$/),
    ]);
  });
});
