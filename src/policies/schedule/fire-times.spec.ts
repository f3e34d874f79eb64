import { Draw } from '../../../test/support/draw.ts';
import { HARD_ZONES } from '../../../test/support/schedule/hard-zones.ts';
import { MinuteWalk } from '../../../test/support/schedule/minute-walk.ts';
import { Schedule } from '../document/schedule.ts';
import { jitterMs, nextFireTime } from './fire-times.ts';

const DAY_MS = 86_400_000;

function schedule(parts: Record<string, unknown>): Schedule {
  return Schedule.parse(parts);
}

function timesOf(given: Schedule, startMs: number, endMs: number): number[] {
  const times: number[] = [];
  for (let at = nextFireTime(given, startMs); at !== undefined && at < endMs;) {
    times.push(at);
    at = nextFireTime(given, at);
  }
  return times;
}

function iso(times: readonly number[]): string[] {
  return times.map((time) => new Date(time).toISOString().slice(0, 16));
}

function from(parts: Record<string, unknown>, start: string, count: number): string[] {
  const times: number[] = [];
  let at = nextFireTime(schedule(parts), Date.parse(start));
  for (; at !== undefined && times.length < count; at = nextFireTime(schedule(parts), at)) {
    times.push(at);
  }
  return iso(times);
}

describe('nextFireTime', () => {
  const draw = new Draw('fire times');

  it.each(HARD_ZONES)(`is what a walk over all minutes finds in %s (${draw.seed})`, (zone) => {
    const minute = String(draw.number(60));
    const hour = String(draw.number(4));
    const patterns = [
      `${minute} ${hour} * * *`,
      `${minute} 0-3 * * *`,
      `*/20 ${hour} * * *`,
      `${minute} * * * *`,
      '*/30 * * * *',
      '0 */2 * * *',
      `0 0 1,${String(2 + draw.number(30))} * ${String(draw.number(8))}`,
      `${minute} 23 29-31 1-12/2 *`,
    ];
    for (const { startMs, endMs } of [aroundChange(zone), aroundChange(zone)]) {
      const walk = new MinuteWalk(zone, startMs - 2 * DAY_MS, endMs);
      for (const cron of patterns) {
        const walked = walk.fireTimes(cron).filter((time) => time > startMs && time < endMs);
        const found = timesOf(schedule({ cron, zone }), startMs, endMs);
        expect({ cron, times: iso(found) }).toEqual({ cron, times: iso(walked) });
      }
    }
  });

  /** Draws days around a change of the clock, if the zone has one after the drawn day. */
  function aroundChange(zone: string): { readonly startMs: number; readonly endMs: number } {
    const drawnMs = Date.UTC(2020 + draw.number(20), draw.number(12), 1 + draw.number(28));
    const walk = new MinuteWalk(zone, drawnMs, drawnMs + 250 * DAY_MS);
    const change = walk.walls.findIndex(
      (wall, minute) => minute > 0 && wall !== (walk.walls[minute - 1] ?? 0) + 60_000,
    );
    const middleMs = drawnMs + Math.max(change, 0) * 60_000;
    const startMs = middleMs - (1 + draw.number(7)) * DAY_MS;
    return { startMs, endMs: middleMs + 8 * DAY_MS };
  }

  it('fires at the end of a gap, once', () => {
    const parts = { cron: '30 2 * * *', zone: 'Europe/Berlin' };
    expect(from(parts, '2026-03-28T12:00Z', 2)).toEqual(['2026-03-29T01:00', '2026-03-30T00:30']);
    const every = { cron: '*/15 2 * * *', zone: 'Europe/Berlin' };
    expect(from(every, '2026-03-28T12:00Z', 2)).toEqual(['2026-03-29T01:00', '2026-03-30T00:00']);
  });

  it('fires once at a time that exists twice', () => {
    const parts = { cron: '30 2 * * *', zone: 'Europe/Berlin' };
    expect(from(parts, '2026-10-24T12:00Z', 2)).toEqual(['2026-10-25T00:30', '2026-10-26T01:30']);
    expect(from(parts, '2026-10-25T01:10Z', 1)).toEqual(['2026-10-26T01:30']);
  });

  it('leaves no hour out of a pattern for every hour', () => {
    const parts = { cron: '@hourly', zone: 'Europe/Berlin' };
    expect(from(parts, '2026-10-24T23:30Z', 3)).toEqual([
      '2026-10-25T00:00',
      '2026-10-25T01:00',
      '2026-10-25T02:00',
    ]);
  });

  it('fires on a leap day only', () => {
    expect(from({ cron: '0 0 29 2 *' }, '2096-03-01T00:00Z', 1)).toEqual(['2104-02-29T00:00']);
  });

  it('keeps the distance of every on the days on which clocks change', () => {
    const parts = { every: '4h', zone: 'Europe/Berlin' };
    const times = timesOf(schedule(parts), Date.UTC(2026, 2, 28), Date.UTC(2026, 3, 1));
    expect(new Set(times.map((time) => time % (DAY_MS / 6)))).toEqual(new Set([0]));
    expect(times).toHaveLength(4 * 6 - 1);
  });

  it('leaves out what is outside of the window, which opens on its days', () => {
    const window = { from: '22:00', to: '06:00', days: ['fri'] };
    const expected = ['2026-11-27T21:00', '2026-11-28T01:00', '2026-12-04T21:00'];
    const zone = 'Europe/Berlin';
    expect(from({ cron: '0 2-22/4 * * *', zone, window }, '2026-11-27T00:00Z', 3)).toEqual(
      expected,
    );
    expect(from({ every: '3h', zone, window }, '2026-11-27T00:00Z', 4)).toEqual([
      '2026-11-27T21:00',
      '2026-11-28T00:00',
      '2026-11-28T03:00',
      '2026-12-04T21:00',
    ]);
  });

  it('fires for a time in the window that does not exist', () => {
    const window = { from: '02:00', to: '03:00' };
    const parts = { cron: '30 2 * * *', zone: 'Europe/Berlin', window };
    expect(from(parts, '2026-03-28T12:00Z', 1)).toEqual(['2026-03-29T01:00']);
  });

  it('ends if the window leaves nothing', () => {
    const window = { from: '10:00', to: '11:00' };
    expect(nextFireTime(schedule({ cron: '0 3 * * *', window }), 0)).toBeUndefined();
    expect(nextFireTime(schedule({ every: '1d', window }), 0)).toBeUndefined();
  });
});

describe('jitterMs', () => {
  const at = (vmId: string, fireAtMs = 0) => ({ policyId: 'p', vmId, fireAtMs });

  it('is the same again, and differs between VMs and fire times', () => {
    const given = schedule({ every: '4h', jitter: '1h' });
    const vms = Array.from({ length: 200 }, (_, vm) => jitterMs(given, at(String(vm))));
    expect(jitterMs(given, at('7'))).toBe(vms[7]);
    expect(new Set(vms).size).toBeGreaterThan(190);
    expect(Math.max(...vms)).toBeLessThan(3_600_000);
    expect(Math.max(...vms)).toBeGreaterThan(3_000_000);
    expect(jitterMs(given, at('7', DAY_MS))).not.toBe(vms[7]);
  });

  it('ends before the next fire time and with the window', () => {
    const dense = schedule({ every: '1m', jitter: '1h' });
    const window = { from: '22:00', to: '22:30' };
    const late = schedule({ cron: '0 22 * * *', jitter: '10h', window });
    for (let vm = 0; vm < 100; vm++) {
      expect(jitterMs(dense, at(String(vm)))).toBeLessThan(60_000);
      expect(jitterMs(late, at(String(vm), 22 * 3_600_000))).toBeLessThan(30 * 60_000);
    }
  });
});
