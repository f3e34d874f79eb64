import { Schedule } from '../document/schedule.ts';
import { dueTimes, earliestStart } from './due-times.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const at = (text: string): number => Date.parse(text);
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
