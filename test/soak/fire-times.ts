// npm run soak -- fire-times [--from 2020] [--until 2040] [--zones REGEXP]
//
// Compares the fire times of several patterns, in every time zone that this Node knows, with a walk
// over all minutes of these years. Prints what differs; exit code 1 if anything does.
import { parseArgs } from 'node:util';
import { Schedule } from '../../src/policies/document/schedule.ts';
import { nextFireTime } from '../../src/policies/schedule/fire-times.ts';
import { MinuteWalk } from '../support/schedule/minute-walk.ts';

const { values } = parseArgs({
  options: {
    from: { type: 'string', default: '2020' },
    until: { type: 'string', default: '2040' },
    zones: { type: 'string', default: '' },
  },
});

const DAY_MS = 86_400_000;
/** Sparse ones near the hours at which clocks are changed, and one for every hour. */
const PATTERNS = [
  '30 2 * * *',
  '0 0 * * *',
  '59 0-3 * * *',
  '*/20 1 * * *',
  '45 23 1,31 * 1',
  '0 0 29 2 *',
  '15 * * * *',
];

const startMs = Date.UTC(Number(values.from), 0, 1);
const endMs = Date.UTC(Number(values.until) + 1, 0, 1);
const wanted = new RegExp(values.zones);
const zones = Intl.supportedValuesOf('timeZone').filter((zone) => wanted.test(zone));

/** @returns how many fire times there are */
function compare(zone: string, cron: string, walk: MinuteWalk): number {
  const schedule = Schedule.parse({ cron, zone });
  const walked = walk.fireTimes(cron).filter((time) => time > startMs && time < endMs);
  let at: number | undefined = startMs;
  for (const expected of walked) {
    at = nextFireTime(schedule, at);
    if (at !== expected) {
      const found = at === undefined ? 'none' : new Date(at).toISOString();
      console.log(`${zone} ${cron}: ${found} instead of ${new Date(expected).toISOString()}`);
      process.exitCode = 1;
      at = expected;
    }
  }
  const beyond = nextFireTime(schedule, at);
  if (beyond !== undefined && beyond < endMs) {
    console.log(`${zone} ${cron}: ${new Date(beyond).toISOString()} is too many`);
    process.exitCode = 1;
  }
  return walked.length;
}

let times = 0;
for (const [place, zone] of zones.entries()) {
  const walk = new MinuteWalk(zone, startMs - 2 * DAY_MS, endMs);
  for (const cron of PATTERNS) {
    times += compare(zone, cron, walk);
  }
  if (place % 20 === 19) {
    console.log(`${String(place + 1)} of ${String(zones.length)} zones`);
  }
}
console.log(
  `${String(zones.length)} zones, ${String(PATTERNS.length)} patterns, ${String(times)} fire times: ${process.exitCode === 1 ? 'WRONG' : 'all as walked'}`,
);
