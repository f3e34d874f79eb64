import { durationMs } from './duration.ts';
import { Schedule } from './schedule.ts';

function problems(given: unknown): string[] {
  return Schedule.safeParse(given).error?.issues.map(({ message }) => message) ?? [];
}

describe('Schedule', () => {
  it.each([
    { cron: '0 3 * * mon-FRI' },
    { cron: '*/15 8-18 * * *', zone: 'America/St_Johns', jitter: '10m', catchUp: 'skip' },
    { cron: '@weekly', window: { from: '22:00', to: '06:00', days: ['sat', 'sun'] } },
    { every: '15m' },
  ])('takes %j', (given) => {
    expect(Schedule.parse(given)).toMatchObject(given);
  });

  it('is in UTC and catches up once unless it says otherwise', () => {
    expect(Schedule.parse({ every: '1d' })).toEqual({ every: '1d', zone: 'UTC', catchUp: 'once' });
  });

  it.each([
    [{}, 'either cron or every'],
    [{ cron: '@daily', every: '1d' }, 'either cron or every'],
    [{ cron: '0 0 30 2 *' }, 'this never comes'],
    [{ cron: '0 24 * * *' }, 'Invalid value for hour: 24'],
    [{ cron: '* * * * * *' }, 'five fields'],
    [{ cron: '0 0 L * *' }, 'five fields'],
    [{ cron: '@reboot' }, 'five fields'],
    [{ every: '90s' }, 'a duration'],
    [{ every: '1d', zone: 'Mars/Olympus' }, 'a time zone'],
    [{ every: '1d', zone: '+02:00' }, 'a time zone'],
    [{ every: '1d', window: { from: '24:00', to: '06:00' } }, 'a time of day'],
    [{ every: '1d', often: true }, 'Unrecognized key'],
  ])('refuses %j', (given, problem) => {
    expect(problems(given)).toEqual([expect.stringContaining(problem)]);
  });

  it('reads durations', () => {
    expect(['15m', '4h', '2d'].map(durationMs)).toEqual([900_000, 14_400_000, 172_800_000]);
  });
});
