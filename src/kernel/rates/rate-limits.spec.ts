import { constantRate, rateAt, RateLimits } from './rate-limits.ts';

function rate(limits: object, instant: string): number | undefined {
  const { windows, zone } = RateLimits.parse(limits);
  return rateAt(windows, Date.parse(instant), zone);
}

describe('rateAt', () => {
  it('is that of the first open window, by the wall clock of the zone', () => {
    const limits = {
      zone: 'Europe/Berlin',
      windows: [
        {
          from: '08:00',
          to: '18:00',
          days: ['mon', 'tue', 'wed', 'thu', 'fri'],
          bytesPerSecond: 5,
        },
        { from: '06:00', to: '22:00', bytesPerSecond: 20 },
      ],
    };
    // A Monday, in summer two hours ahead of UTC.
    expect(rate(limits, '2026-07-06T05:59:59.999Z')).toBe(20);
    expect(rate(limits, '2026-07-06T06:00:00Z')).toBe(5);
    expect(rate(limits, '2026-07-06T15:59:59.999Z')).toBe(5);
    expect(rate(limits, '2026-07-06T16:00:00Z')).toBe(20);
    expect(rate(limits, '2026-07-06T20:00:00Z')).toBeUndefined();
    expect(rate(limits, '2026-07-05T10:00:00Z')).toBe(20);
    // In winter one hour.
    expect(rate(limits, '2026-12-07T06:59:59Z')).toBe(20);
    expect(rate(limits, '2026-12-07T07:00:00Z')).toBe(5);
  });

  it('is one over midnight for the day on which the window opened', () => {
    const limits = {
      windows: [{ from: '22:00', to: '06:00', days: ['fri'], bytesPerSecond: 7 }],
    };
    expect(rate(limits, '2026-07-10T21:59:59Z')).toBeUndefined();
    expect(rate(limits, '2026-07-10T22:00:00Z')).toBe(7);
    expect(rate(limits, '2026-07-11T05:59:59Z')).toBe(7);
    expect(rate(limits, '2026-07-11T06:00:00Z')).toBeUndefined();
    expect(rate(limits, '2026-07-11T23:00:00Z')).toBeUndefined();
  });

  it('is the same at all times if it is to be', () => {
    for (let hour = 0; hour < 24; hour += 1) {
      const instantMs = Date.UTC(2026, 9, 25, hour);
      expect(rateAt(constantRate(9).windows, instantMs, 'UTC')).toBe(9);
    }
  });

  it.each([
    { windows: [{ from: '08:00', to: '18:00', bytesPerSecond: 0 }] },
    { windows: [{ from: '08:00', to: '18:00' }] },
    { windows: [{ from: '8', to: '18:00', bytesPerSecond: 1 }] },
    { zone: '+02:00', windows: [] },
    { windows: Array.from({ length: 33 }, () => constantRate(1).windows[0]) },
  ])('is not asked of %j, which are no limits', (limits) => {
    expect(RateLimits.safeParse(limits).success).toBe(false);
  });
});
