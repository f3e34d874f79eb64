import { rateAt } from '../../kernel/rates/rate-limits.ts';
import { MiB } from '../../kernel/text/bytes.ts';
import { jobLimits } from './job-limits.ts';
import { PolicyDocument } from './policy-document.ts';

function policy(limits?: object): PolicyDocument {
  return PolicyDocument.parse({
    name: 'p',
    selector: { all: true },
    vault: 'main',
    schedule: { every: '1h', zone: 'Europe/Berlin' },
    ...(limits && { limits }),
  });
}

describe('jobLimits', () => {
  it('is nothing for a policy without limits', () => {
    expect(jobLimits(policy())).toEqual({});
    expect(jobLimits(policy({ atOnce: 2 }))).toEqual({});
  });

  it('has the rates of windows, and beyond them the rate of all times, in the zone', () => {
    const rates = [{ from: '08:00', to: '18:00', days: ['mon'], rate: '512KiB/s' }];
    const { rateLimits } = jobLimits(policy({ rate: '50MiB/s', rates }));

    expect(rateLimits?.zone).toBe('Europe/Berlin');
    const at = (instant: string) =>
      rateAt(rateLimits?.windows ?? [], Date.parse(instant), rateLimits?.zone ?? '');
    expect(at('2026-07-06T06:00:00Z')).toBe(MiB / 2);
    expect(at('2026-07-06T05:59:00Z')).toBe(50 * MiB);
    expect(at('2026-07-07T06:00:00Z')).toBe(50 * MiB);
    expect(jobLimits(policy({ rate: '2GiB/s' })).rateLimits?.windows[0]?.bytesPerSecond).toBe(
      2048 * MiB,
    );
  });

  it('has the limit for what the guest feels, for emulated guests only if it says so', () => {
    expect(jobLimits(policy({ guestLatency: '50ms' }))).toEqual({
      guestLatency: { p99MsMax: 50, underEmulation: false },
    });
    expect(jobLimits(policy({ guestLatency: '50ms', underEmulation: true }))).toEqual({
      guestLatency: { p99MsMax: 50, underEmulation: true },
    });
  });

  it.each([
    { guestLatency: '501ms' },
    { guestLatency: '0ms' },
    { guestLatency: '50' },
    { underEmulation: true },
    { rates: [{ from: '08:00', to: '18:00' }] },
    { rates: [{ from: '08:00', to: '18:00', rate: '20M' }] },
  ])('is not made of %j, which a policy may not say', (limits) => {
    expect(() => policy(limits)).toThrow();
  });
});
