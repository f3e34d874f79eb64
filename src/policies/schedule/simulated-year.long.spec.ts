import assert from 'node:assert/strict';
import { Draw } from '../../../test/support/draw.ts';
import { HARD_ZONES } from '../../../test/support/schedule/hard-zones.ts';
import { MinuteWalk } from '../../../test/support/schedule/minute-walk.ts';
import { Schedule } from '../document/schedule.ts';
import { dueTimes } from './due-times.ts';

/** A run draws 4 of 10 zones. All: `npm run soak -- drawn simulated-year`. */
const draw = new Draw('a year of a clock');
const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;
const iso = (times: readonly number[]): string[] =>
  times.map((time) => new Date(time).toISOString());

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
  it.each(draw.some(HARD_ZONES, 4))(
    `loses and doubles no fire time in %s, and keeps their order (${draw.seed})`,
    (zone) => {
      // 2028 has a leap day.
      const startMs = Date.UTC(2028, 0, 1, 0, 0, 30);
      const endMs = Date.UTC(2029, 0, 1, 0, 0, 30);
      const walk = new MinuteWalk(zone, startMs - 2 * DAY_MS, endMs + 3 * DAY_MS);
      const minute = String(draw.number(60));
      const crons = [`${minute} 2 * * *`, `${minute} * * * *`, '0 0-4/2 29 * *'];
      const cron = crons[draw.number(crons.length)] ?? '';
      const given = Schedule.parse({ cron, zone, catchUp: draw.number(2) === 0 ? 'once' : 'skip' });
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
