import assert from 'node:assert/strict';
import { Draw } from '../../../test/support/draw.ts';
import { MinuteWalk } from '../../../test/support/schedule/minute-walk.ts';
import { Schedule } from '../document/schedule.ts';
import { dueTimes, earliestStart } from './due-times.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Antarctica/Troll',
  'America/Havana',
  'Asia/Beirut',
  'Africa/Casablanca',
  'Pacific/Chatham',
  'America/Santiago',
];

const at = (text: string): number => Date.parse(text);
const iso = (times: readonly number[]): string[] =>
  times.map((time) => new Date(time).toISOString());
const schedule = (parts: object): Schedule => Schedule.parse(parts);

describe('dueTimes', () => {
  const hourly = schedule({ cron: '@hourly' });

  it('has nothing between fire times, and moves the horizon', () => {
    const now = at('2026-01-01T10:30Z');
    expect(dueTimes(hourly, now - 1000, now)).toEqual({ missed: [], horizonMs: now });
  });

  it('makes a run of the newest fire time, and says which were missed', () => {
    const now = at('2026-01-01T10:30Z');
    expect(dueTimes(hourly, at('2026-01-01T07:00Z'), now)).toEqual({
      run: at('2026-01-01T10:00Z'),
      missed: [at('2026-01-01T08:00Z'), at('2026-01-01T09:00Z')],
      horizonMs: now,
    });
  });

  it('makes no run of what was missed if the schedule does not catch up', () => {
    const skipping = schedule({ cron: '@hourly', catchUp: 'skip' });
    const now = at('2026-01-01T10:06Z');
    expect(dueTimes(skipping, at('2026-01-01T09:30Z'), now).run).toBeUndefined();
    expect(dueTimes(skipping, at('2026-01-01T09:30Z'), now).missed).toHaveLength(1);
    expect(dueTimes(skipping, at('2026-01-01T09:30Z'), now - 2 * MINUTE_MS).run).toBeDefined();
  });

  it('never moves the horizon back', () => {
    const horizonMs = at('2026-01-01T10:30Z');
    const due = dueTimes(hourly, horizonMs, horizonMs - 5 * HOUR_MS);
    expect(due).toEqual({ missed: [], horizonMs });
  });

  it('says from when on it knows if too much was missed', () => {
    const now = at('2026-06-01T00:30Z');
    const due = dueTimes(hourly, at('2020-01-01T00:00Z'), now);
    expect(due.missed).toHaveLength(99);
    expect(due.notBeforeMs).toBe(due.missed[0]);
    expect(due.run).toBe(at('2026-06-01T00:00Z'));
    const yearly = dueTimes(schedule({ cron: '@yearly' }), at('2020-01-02T00:00Z'), now);
    expect(yearly).toEqual({ missed: [], notBeforeMs: now - 30 * DAY_MS, horizonMs: now });
  });

  it('starts what is caught up outside of the window when that opens', () => {
    const window = { from: '22:00', to: '06:00' };
    const nightly = schedule({ cron: '0 23 * * *', window, zone: 'Europe/Berlin' });
    expect(earliestStart(nightly, at('2026-01-01T12:00Z'))).toBe(at('2026-01-01T21:00Z'));
    expect(earliestStart(nightly, at('2026-01-01T23:00Z'))).toBe(at('2026-01-01T23:00Z'));
    expect(earliestStart(hourly, 5)).toBe(5);
  });
});

/** The clock of a service over a year: it ticks, is set, and stands still for the service. */
class YearOfAClock {
  private readonly number: (limit: number) => number;
  private trueMs: number;
  /** How far the clock is wrong. */
  private wrongMs = 0;

  constructor(startMs: number, number: (limit: number) => number) {
    this.trueMs = startMs;
    this.number = number;
  }

  /** Returns what the clock shows at the next look, and whether it is the true time. */
  next(): { readonly nowMs: number; readonly trueMs: number } {
    this.trueMs += 5000 + this.number(HOUR_MS);
    const event = this.number(1500);
    if (event < 4) {
      this.trueMs += HOUR_MS + this.number(3 * DAY_MS); // The service was away.
    } else if (event < 8) {
      this.wrongMs = (this.number(2) === 0 ? -1 : 1) * this.number(12) * HOUR_MS;
    } else if (event < 60) {
      this.wrongMs = 0;
    }
    return { nowMs: this.trueMs + this.wrongMs, trueMs: this.trueMs };
  }
}

describe('a year of a clock', () => {
  const draw = new Draw('a year of a clock');

  it.each(ZONES)(
    `loses and doubles no fire time in %s, and keeps their order (${draw.seed})`,
    (zone) => {
      // 2028 has a leap day.
      const startMs = Date.UTC(2028, 0, 1, 0, 0, 30);
      const endMs = Date.UTC(2029, 0, 1, 0, 0, 30);
      const walk = new MinuteWalk(zone, startMs - 2 * DAY_MS, endMs + 3 * DAY_MS);
      const minute = String(draw.number(60));
      const crons = [`${minute} 2 * * *`, `${minute} * * * *`, '0 0-4/2 29 * *'];
      const cron = crons[draw.number(crons.length)] ?? '';
      const given = schedule({ cron, zone, catchUp: draw.number(2) === 0 ? 'once' : 'skip' });
      const clock = new YearOfAClock(startMs, draw.number);
      const seen: number[] = [];
      let runs = 0;
      let horizonMs = startMs;
      for (let look = clock.next(); look.trueMs < endMs; look = clock.next()) {
        const due = dueTimes(given, horizonMs, look.nowMs);
        assert(due.horizonMs >= horizonMs && due.notBeforeMs === undefined);
        seen.push(...due.missed, ...(due.run === undefined ? [] : [due.run]));
        runs += due.run === undefined ? 0 : 1;
        horizonMs = due.horizonMs;
      }
      const wanted = walk.fireTimes(cron).filter((time) => time > startMs && time <= horizonMs);
      expect(iso(seen)).toEqual(iso(wanted));
      expect(runs).toBeGreaterThan(0);
    },
  );
});
