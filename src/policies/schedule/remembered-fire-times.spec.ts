import { Schedule } from '../document/schedule.ts';
import { nextFireTime } from './fire-times.ts';
import { RememberedFireTimes } from './remembered-fire-times.ts';

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 2, 28);

describe('RememberedFireTimes', () => {
  it.each([
    { every: '7m' },
    { cron: '*/20 1-5 * * *', zone: 'Europe/Berlin' },
    { cron: '0 0 29 2 *' },
  ])('gives the fire times of %j, whatever was asked before', (fields) => {
    const schedule = Schedule.parse(fields);
    const remembered = new RememberedFireTimes(schedule);
    // A walk that comes by everywhere, in no order: 37 and 480 have no common divisor.
    const instants = Array.from(
      { length: 480 },
      (_, index) => START_MS + ((index * 37) % 480) * (HOUR_MS / 10),
    );

    for (const instant of [...instants, ...instants]) {
      expect(remembered.next(instant)).toBe(nextFireTime(schedule, instant));
    }
    for (const instant of instants.map((each) => nextFireTime(schedule, each) ?? each)) {
      expect(remembered.next(instant)).toBe(nextFireTime(schedule, instant));
      expect(remembered.next(instant - 1)).toBe(nextFireTime(schedule, instant - 1));
    }
  });
});
