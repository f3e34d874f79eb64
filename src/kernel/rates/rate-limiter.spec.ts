import { setImmediate } from 'node:timers/promises';
import { Draw } from '../../../test/support/draw.ts';
import { Clock } from '../clock.ts';
import { limiterFor, RateLimiter, type RateSource } from './rate-limiter.ts';

const HOUR_MS = 3_600_000;
const { signal } = new AbortController();

/** A clock that only moves when somebody waits. */
class WaitedClock extends Clock {
  ms = 0;

  override nowMs(): number {
    return this.ms;
  }

  override monotonicMs(): number {
    return this.ms;
  }

  readonly wait = async (delayMs: number, stop: AbortSignal): Promise<void> => {
    stop.throwIfAborted();
    this.ms += delayMs;
  };
}

function constant(bytesPerSecond: number | undefined): RateSource {
  return { rate: () => bytesPerSecond };
}

function setUp(...sources: RateSource[]) {
  const clock = new WaitedClock();
  return { clock, limiter: new RateLimiter(sources, clock, clock.wait) };
}

describe('RateLimiter', () => {
  const draw = new Draw('rate limiter');

  it(`never lets more through than the rate and one second's worth (${draw.seed})`, async () => {
    const rate = 1_000_000;
    const { clock, limiter } = setUp(constant(rate));
    const reads: { readonly atMs: number; readonly bytes: number }[] = [];
    for (let count = 0; count < 200; count += 1) {
      if (draw.number(4) === 0) {
        clock.ms += draw.number(5000);
      }
      const bytes = 1 + draw.number(draw.number(2) === 0 ? 3000 : 400_000);
      await limiter.take(bytes, signal);
      reads.push({ atMs: clock.ms, bytes });
    }
    for (const [first, { atMs: startMs }] of reads.entries()) {
      let bytes = 0;
      for (const read of reads.slice(first)) {
        bytes += read.bytes;
        // The first of them may have been paid for before the start.
        const allowed = ((read.atMs - startMs) / 1000 + 1) * rate + (reads[first]?.bytes ?? 0);
        expect(bytes).toBeLessThanOrEqual(allowed);
      }
    }
  });

  it('loses no time while it is asked all the time, whatever the pieces', async () => {
    const { clock, limiter } = setUp(constant(1_000_000));
    for (const bytes of [100_000, 4_000_000, 1, 900_000, 5_000_000]) {
      await limiter.take(bytes, signal);
    }
    expect(clock.ms).toBeGreaterThanOrEqual(10_000);
    expect(clock.ms).toBeLessThan(10_020);
  });

  it('gives no more than one second of credit for a pause', async () => {
    const { clock, limiter } = setUp(constant(1000));
    await limiter.take(1, signal);
    clock.ms = HOUR_MS;
    await limiter.take(3000, signal);
    expect(clock.ms - HOUR_MS).toBeGreaterThanOrEqual(2000);
  });

  it('keeps the lowest limit, and tells that source alone what it cost beyond the others', async () => {
    const waits = { low: 0, high: 0 };
    const low = { rate: () => 100, waited: (ms: number) => (waits.low += ms) };
    const high = { rate: () => 200, waited: (ms: number) => (waits.high += ms) };
    const { clock, limiter } = setUp(high, low, constant(undefined));
    await limiter.take(1000, signal);
    expect(clock.ms).toBeGreaterThanOrEqual(10_000);
    // At the next higher limit half of it would have been waited anyway.
    expect(waits).toEqual({ low: clock.ms / 2, high: 0 });
  });

  it('follows a new rate within a second, in the middle of a wait too, without a burst', async () => {
    let bytesPerSecond: number | undefined = 1;
    const { clock, limiter } = setUp({ rate: () => bytesPerSecond });
    let raisedAtMs = 0;
    const slow = new RateLimiter([{ rate: () => bytesPerSecond }], clock, async (ms, stop) => {
      await clock.wait(ms, stop);
      if (clock.ms >= 10_000 && raisedAtMs === 0) {
        raisedAtMs = clock.ms;
        bytesPerSecond = undefined;
      }
    });
    await slow.take(1_000_000, signal);
    expect(clock.ms - raisedAtMs).toBeLessThanOrEqual(1000);

    // Unlimited for an hour, then limited: nothing was saved up.
    await limiter.take(1, signal);
    clock.ms += HOUR_MS;
    bytesPerSecond = 100;
    const startMs = clock.ms;
    await limiter.take(1000, signal);
    expect(clock.ms - startMs).toBeGreaterThanOrEqual(10_000);
  });

  it('follows the time of day', async () => {
    const clock = new WaitedClock();
    const windows = [{ from: '00:00', to: '01:00', bytesPerSecond: 1 } as const];
    const rates = limiterFor({ zone: 'UTC', windows }, clock);
    expect(limiterFor({ zone: 'UTC', windows: [] }, clock)).toBeUndefined();
    expect(limiterFor(undefined, clock)).toBeUndefined();
    clock.ms = HOUR_MS;
    await rates?.take(1e12, signal);
    expect(clock.ms).toBe(HOUR_MS);
  });

  it('ends every wait when it is cancelled: for time, and for the turn', async () => {
    const clock = new WaitedClock();
    const never = async (_ms: number, stop: AbortSignal): Promise<void> =>
      new Promise((_resolve, reject) => {
        stop.throwIfAborted();
        stop.addEventListener('abort', () => {
          reject(stop.reason as Error);
        });
      });
    const limiter = new RateLimiter([constant(1)], clock, never);
    const stop = new AbortController();
    const waiting = [limiter.take(10, stop.signal), limiter.take(10, stop.signal)];
    await setImmediate();
    stop.abort();
    for (const one of waiting) {
      await expect(one).rejects.toMatchObject({ name: 'AbortError' });
    }
    clock.ms = HOUR_MS;
    await limiter.take(1, signal);
  });
});
