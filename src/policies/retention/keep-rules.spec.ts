import { Draw } from '../../../test/support/draw.ts';
import { knownHistories, type Fate } from '../../../test/support/retention/histories.ts';
import { slowlyKept } from '../../../test/support/retention/slow-rules.ts';
import { HARD_ZONES } from '../../../test/support/schedule/hard-zones.ts';
import { chooseByRules, type KeepRules } from './keep-rules.ts';
import { GFS_RULES, periodsOf } from './periods.ts';
import { planRetention, type JudgedPoint } from './retention-plan.ts';

const HOUR_MS = 3_600_000;

function keptOf(
  newestFirst: readonly { readonly id: string; readonly takenAtMs: number }[],
  rules: KeepRules,
): string[] {
  const marks = chooseByRules(newestFirst, rules);
  return newestFirst.filter((_, place) => marks[place]?.keep === true).map(({ id }) => id);
}

describe('the rules of retention', () => {
  it('keep what 400 histories say that were made by somebody else', () => {
    const wrong: unknown[] = [];
    const histories = knownHistories();
    for (const [number, { rules, points, fates }] of histories.entries()) {
      const judged = points.map(({ takenAtMs, isHeld }, place): JudgedPoint => {
        const id = String(points.length - place).padStart(6, '0');
        const facts = { isHeld, proven: 'unknown', isExtra: false, judges: ['p'] } as const;
        return { id, vmId: 'vm', takenAtMs, ...facts };
      });
      const decisions = planRetention({
        points: judged,
        judges: new Map([['p', { rules, isPaused: false }]]),
        ...{ blocked: new Map(), incompleteGroups: new Set() },
        nowMs: points[0]?.takenAtMs ?? 0,
      });
      for (const [place, { keep, because }] of decisions.entries()) {
        const isHeld = because.some(({ rule }) => rule === 'hold');
        const fate: Fate = isHeld ? 'held' : keep ? 'keep' : 'give up';
        if (fate !== fates[place]) {
          wrong.push({ number, place, fate, wanted: fates[place], because });
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(histories.flatMap(({ fates }) => fates)).toHaveLength(24_318);
  });

  const draw = new Draw('keep rules');

  it.each(HARD_ZONES)(`keep what a slow reading of them keeps in %s (${draw.seed})`, (zone) => {
    for (let history = 0; history < 8; history += 1) {
      const rules: KeepRules = {
        zone,
        ...Object.fromEntries(
          GFS_RULES.filter(() => draw.number(2) === 0).map((rule) => [rule, draw.number(9)]),
        ),
      };
      const stepMs = [HOUR_MS / 4, HOUR_MS, 7 * HOUR_MS, 40 * HOUR_MS][draw.number(4)] ?? 0;
      let atMs = Date.UTC(2020 + draw.number(15), draw.number(12), 1 + draw.number(28));
      const points = Array.from({ length: 150 }, (_, place) => {
        atMs -= draw.number(2 * stepMs);
        return { id: String(place), takenAtMs: atMs };
      });
      const kept = keptOf(points, rules);
      expect({ rules, kept }).toEqual({ rules, kept: [...sorted(slowlyKept(points, rules))] });
    }
  });

  function sorted(ids: ReadonlySet<string>): string[] {
    return [...ids].sort((a, b) => Number(a) - Number(b));
  }

  it('count an hour once that comes again behind another one', () => {
    // In this zone the clock is set back by two hours, from three to one.
    const at = (text: string) => ({ id: text, takenAtMs: Date.parse(text) });
    const points = ['2026-10-25T02:30Z', '2026-10-25T01:30Z', '2026-10-25T00:30Z'].map(at);
    const rules = { zone: 'Antarctica/Troll', hourly: 1, daily: 1 };
    expect(points.map(({ takenAtMs }) => periodsOf(rules.zone, takenAtMs).hourly)).toEqual([
      ...['2026-10-25T02', '2026-10-25T01', '2026-10-25T02'],
    ]);
    const marks = chooseByRules(points, rules);
    expect(marks.map((mark) => mark && [mark.keep, mark.rule])).toEqual([
      [true, 'hourly'],
      undefined,
      [false, 'hourly'],
    ]);
  });
});

describe('periodsOf', () => {
  it.each([
    ['UTC', '2026-01-01T00:00Z', '2026-W01', '2026-01-01T00'],
    ['UTC', '2027-01-03T23:59Z', '2026-W53', '2027-01-03T23'],
    ['UTC', '2024-12-30T00:00Z', '2025-W01', '2024-12-30T00'],
    ['Asia/Kathmandu', '2026-06-30T18:15Z', '2026-W27', '2026-07-01T00'],
    ['Europe/Berlin', '2026-10-25T01:59Z', '2026-W43', '2026-10-25T02'],
  ])('names those in %s at %s', (zone, instant, weekly, hourly) => {
    expect(periodsOf(zone, Date.parse(instant))).toEqual({
      ...{ weekly, hourly },
      daily: hourly.slice(0, 10),
      monthly: hourly.slice(0, 7),
      yearly: hourly.slice(0, 4),
    });
  });

  it('names those of any number that a point may have as its time', () => {
    expect(periodsOf('Pacific/Apia', Number.MAX_SAFE_INTEGER).yearly).toMatch(/^\+?\d/);
    expect(periodsOf('Pacific/Apia', 0).daily).toBe('1969-12-31');
  });
});
