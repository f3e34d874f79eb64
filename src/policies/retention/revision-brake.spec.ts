import { RevisionBrake } from './revision-brake.ts';
import type { KeepRules } from './keep-rules.ts';
import type { JudgedPoint } from './retention-plan.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = Date.UTC(2026, 10, 30, 12, 30);

/** Each day at noon, the newest half an hour ago. */
const POINTS = Array.from({ length: 60 }, (_, age): JudgedPoint => {
  const facts = { isHeld: false, proven: 'unknown', isExtra: false, judges: ['p'] } as const;
  const takenAtMs = NOW_MS - HOUR_MS / 2 - age * DAY_MS;
  return { id: `age ${String(age)}`, vmId: 'v', takenAtMs, ...facts };
});
const FIRE_TIMES = Array.from({ length: 7 }, (_, day) => NOW_MS - HOUR_MS / 2 + (day + 1) * DAY_MS);

function early(
  before: Partial<KeepRules> | undefined,
  after: Partial<KeepRules>,
  points = POINTS,
): string[] {
  const brake = new RevisionBrake({
    points,
    judges: new Map([
      ['p', { rules: { zone: 'UTC', ...after }, isPaused: false }],
      ['q', { rules: { zone: 'UTC', last: 3 }, isPaused: false }],
    ]),
    ...{ blocked: new Map(), incompleteGroups: new Set(), nowMs: NOW_MS },
  });
  return brake.givenUpEarly({
    policy: 'p',
    isNew: false,
    before: before && { zone: 'UTC', ...before },
    fireTimes: FIRE_TIMES,
  });
}

describe('RevisionBrake', () => {
  it('lets pass what would go within a week anyway', () => {
    const kept = POINTS.slice(0, 30);
    expect(early({ daily: 30 }, { daily: 30 }, kept)).toEqual([]);
    expect(early({ daily: 30 }, { daily: 23 }, kept)).toEqual([]);
    expect(early({ daily: 30 }, { daily: 40 }, kept)).toEqual([]);
  });

  it('names what the earlier rules would keep for longer', () => {
    const kept = POINTS.slice(0, 30);
    expect(early({ daily: 30 }, { daily: 22 }, kept)).toEqual(['age 22']);
    expect(early({ daily: 30 }, { weekly: 4 }, kept)).toContain('age 2');
  });

  it('takes the week for a week where ages count', () => {
    const minimumAgeMs = 40 * DAY_MS;
    expect(early({ last: 1, minimumAgeMs }, { last: 1 }, POINTS.slice(0, 30))).toHaveLength(29);
  });

  it('lets pass what the earlier rules do not keep either', () => {
    expect(early({ daily: 30 }, { daily: 30 })).toEqual([]);
  });

  it('names everything when nothing was given up before', () => {
    expect(early(undefined, { daily: 58 })).toEqual(['age 58', 'age 59']);
    expect(early(undefined, { daily: 60 })).toEqual([]);
  });

  it('knows that a set stays whole because of a VM that the policy has no say over', () => {
    const [first, second] = [POINTS.slice(0, 3), POINTS.slice(0, 3)];
    const points = [
      ...first.map((point) => ({ ...point, id: `p ${point.id}`, group: point.id })),
      ...second.map((point) => {
        return { ...point, id: `q ${point.id}`, vmId: 'w', judges: ['q'], group: point.id };
      }),
    ];
    // What another policy keeps of a set is not given up early: it is not given up.
    expect(early({ daily: 30 }, { last: 1 }, points)).toEqual([]);
  });
});
