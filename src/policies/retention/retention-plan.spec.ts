import { Draw } from '../../../test/support/draw.ts';
import { drawnVault } from '../../../test/support/retention/drawn-vault.ts';
import { slowlyKept } from '../../../test/support/retention/slow-rules.ts';
import {
  isJudgedBy,
  planRetention,
  type JudgedPoint,
  type PointDecision,
  type RetentionInput,
} from './retention-plan.ts';

const VAULTS = 300;
const AHEAD_MS = 5 * 60_000;
const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 10, 30, 12);

function keptIds(decisions: readonly PointDecision[]): string[] {
  return decisions.filter(({ keep }) => keep).map(({ pointId }) => pointId);
}

function newestFirst(points: readonly JudgedPoint[]): JudgedPoint[] {
  return points.toSorted((a, b) => b.takenAtMs - a.takenAtMs || (a.id < b.id ? 1 : -1));
}

function countsIn({ nowMs, incompleteGroups }: RetentionInput, point: JudgedPoint): boolean {
  const { isHeld, proven, isExtra, group = '', takenAtMs } = point;
  const isAhead = takenAtMs > nowMs + AHEAD_MS;
  return !isHeld && !isAhead && !isExtra && proven !== 'damaged' && !incompleteGroups.has(group);
}

describe('planRetention, on drawn vaults', () => {
  const draw = new Draw('retention plan');
  const vaults = Array.from({ length: VAULTS }, () => drawnVault(draw.number));
  const plans = vaults.map((vault) => ({ vault, decisions: planRetention(vault) }));

  it(`keeps and gives up (${draw.seed})`, () => {
    const all = plans.flatMap(({ decisions }) => decisions);
    expect(keptIds(all).length).toBeGreaterThan(all.length / 10);
    expect(keptIds(all).length).toBeLessThan((all.length * 9) / 10);
    expect(all.filter(({ because }) => because.length === 0)).toEqual([]);
  });

  it('changes nothing when it is planned again', () => {
    for (const { vault, decisions } of plans) {
      const kept = new Set(keptIds(decisions));
      const points = vault.points.filter(({ id }) => kept.has(id));
      const again = planRetention({ ...vault, points });
      expect(again).toEqual(decisions.filter(({ keep }) => keep));
    }
  });

  it('does not depend on the order of the points', () => {
    for (const { vault, decisions } of plans) {
      const other = planRetention({ ...vault, points: draw.shuffled(vault.points) });
      expect(keptIds(other).sort()).toEqual(keptIds(decisions).sort());
    }
  });

  it('keeps all that a rule names', () => {
    for (const { vault, decisions } of plans) {
      const kept = new Set(keptIds(decisions));
      for (const [policy, { rules }] of vault.judges) {
        const own = newestFirst(vault.points).filter(
          (point) => isJudgedBy(point.judges, policy) && countsIn(vault, point),
        );
        for (const ofVm of Map.groupBy(own, ({ vmId }) => vmId).values()) {
          const named = rules === undefined ? ofVm.map(({ id }) => id) : slowlyKept(ofVm, rules);
          expect([...named].filter((id) => !kept.has(id))).toEqual([]);
        }
      }
    }
  });

  it('keeps the newest verified point of each VM', () => {
    for (const { vault, decisions } of plans) {
      const kept = new Set(keptIds(decisions));
      const verified = newestFirst(vault.points).filter(
        ({ proven, takenAtMs }) => proven === 'whole' && takenAtMs <= vault.nowMs + AHEAD_MS,
      );
      const newest = new Map(verified.toReversed().map(({ vmId, id }) => [vmId, id]));
      expect([...newest.values()].filter((id) => !kept.has(id))).toEqual([]);
    }
  });

  it('keeps or gives up each set whole', () => {
    for (const { vault, decisions } of plans) {
      const fates = new Map(decisions.map(({ pointId, keep }) => [pointId, keep]));
      const grouped = vault.points.filter(({ group }) => group !== undefined);
      for (const own of Map.groupBy(grouped, ({ group }) => group).values()) {
        expect(new Set(own.map(({ id }) => fates.get(id))).size).toBe(1);
      }
    }
  });

  it('keeps what is held, locked, read, young, blocked, paused, of the future or nobody decides', () => {
    for (const { vault, decisions } of plans) {
      const kept = new Set(keptIds(decisions));
      const must = vault.points.filter((point) => {
        const judges = typeof point.judges === 'string' ? [] : point.judges;
        return (
          point.isHeld ||
          point.reader !== undefined ||
          (point.lockedUntilMs ?? 0) > vault.nowMs ||
          point.takenAtMs > vault.nowMs + AHEAD_MS ||
          vault.blocked.has(point.vmId) ||
          typeof point.judges === 'string' ||
          judges.some((name) => {
            const judge = vault.judges.get(name);
            const youngMs = judge?.rules?.minimumAgeMs ?? 0;
            return judge?.isPaused === true || point.takenAtMs > vault.nowMs - youngMs;
          })
        );
      });
      expect(must.filter(({ id }) => !kept.has(id))).toEqual([]);
    }
  });

  it('leaves a VM as many points as a policy wants, if it has them', () => {
    for (const { vault, decisions } of plans) {
      const kept = new Set(keptIds(decisions));
      for (const [policy, { rules }] of vault.judges) {
        const own = vault.points.filter(({ judges }) => isJudgedBy(judges, policy));
        for (const ofVm of Map.groupBy(own, ({ vmId }) => vmId).values()) {
          const left = ofVm.filter(({ id }) => kept.has(id)).length;
          expect(left).toBeGreaterThanOrEqual(Math.min(ofVm.length, rules?.atLeast ?? 0));
        }
      }
    }
  });
});

describe('planRetention', () => {
  function point(ageDays: number, facts: Partial<JudgedPoint> = {}): JudgedPoint {
    const takenAtMs = NOW_MS - ageDays * DAY_MS;
    const id = `${facts.vmId ?? 'v'}${String(1000 - ageDays)}`;
    const plain = { isHeld: false, proven: 'unknown', isExtra: false, judges: ['p'] } as const;
    return { id, vmId: 'v', takenAtMs, ...plain, ...facts };
  }

  function plan(
    points: readonly JudgedPoint[],
    rules: object,
    more: Partial<RetentionInput> = {},
  ): [string, boolean, string][] {
    const decisions = planRetention({
      points,
      judges: new Map([['p', { rules: { zone: 'UTC', ...rules }, isPaused: false }]]),
      ...{ blocked: new Map(), incompleteGroups: new Set(), nowMs: NOW_MS },
      ...more,
    });
    return decisions.map(({ pointId, keep, because }) => [
      ...([pointId, keep] as const),
      because.map(({ rule, period }) => `${rule} ${period}`.trim()).join(', '),
    ]);
  }

  it('gives every reason for keeping a point, and says why one is given up', () => {
    const points = [
      point(0),
      point(0.25),
      point(1, { isHeld: true }),
      point(2, { lockedUntilMs: NOW_MS + DAY_MS }),
      point(3, { proven: 'whole' }),
      point(4),
    ];
    expect(plan(points, { daily: 3, minimumAgeMs: DAY_MS / 2, atLeast: 2 })).toEqual([
      ['v1000', true, 'minimum-age 2026-12-01T00:00Z, daily 2026-11-30'],
      ['v999.75', true, 'minimum-age 2026-11-30T18:00Z'],
      ['v999', true, 'hold'],
      ['v998', true, 'lock 2026-12-01T12:00Z, daily 2026-11-28'],
      ['v997', true, 'newest-verified, daily 2026-11-27'],
      ['v996', false, 'beyond'],
    ]);
  });

  it('gives nothing up that is newer than all that counts', () => {
    const points = [point(0, { proven: 'damaged' }), point(1, { group: 'g' }), point(2), point(3)];
    const incompleteGroups = new Set(['g']);
    expect(plan(points, { last: 1 }, { incompleteGroups })).toEqual([
      ['v1000', true, 'newest'],
      ['v999', true, 'newest'],
      ['v998', true, 'last 1'],
      ['v997', false, 'beyond'],
    ]);
    const damaged = points.map((each) => ({ ...each, proven: 'damaged' as const }));
    expect(plan(damaged, { last: 1 }).filter(([, keep]) => keep)).toHaveLength(4);
  });

  it('keeps what one of two policies keeps', () => {
    const points = [0, 1, 2, 3].map((age) => point(age, { judges: ['p', 'q'] }));
    const judges = new Map([
      ['p', { rules: { zone: 'UTC', last: 1 }, isPaused: false }],
      ['q', { rules: { zone: 'UTC', daily: 3 }, isPaused: false }],
    ]);
    expect(plan(points, {}, { judges }).map(([, keep]) => keep)).toEqual([true, true, true, false]);
  });

  it('keeps damaged points last when few are left', () => {
    const points = [point(0), point(1, { proven: 'damaged' }), point(2), point(3)];
    const left = plan(points, { last: 1, atLeast: 3 }).filter(([, keep]) => keep);
    expect(left.map(([id]) => id)).toEqual(['v1000', 'v998', 'v997']);
  });

  it('blocks a VM, and what shares a set with its points', () => {
    const points = [
      ...[point(0), point(1, { group: 'g' }), point(2)],
      ...[point(0, { vmId: 'w' }), point(1, { vmId: 'w', group: 'g' })],
    ];
    const blocked = new Map([['w', 'damage']]);
    expect(plan(points, { last: 1 }, { blocked })).toEqual([
      ['v1000', true, 'last 1'],
      ['v999', true, 'group g'],
      ['v998', false, 'beyond'],
      ['w1000', true, 'blocked damage, last 1'],
      ['w999', true, 'blocked damage'],
    ]);
  });
});
