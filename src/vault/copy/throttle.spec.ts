import { Clock } from '../../kernel/clock.ts';
import { Throttle } from './throttle.ts';

const { signal } = new AbortController();

class StandingClock extends Clock {
  ms = 0;

  override nowMs(): number {
    return this.ms;
  }

  override monotonicMs(): number {
    return this.ms;
  }
}

describe('Throttle', () => {
  it('keeps the average, whatever the pieces, and gives no credit for long pauses', async () => {
    const clock = new StandingClock();
    const throttle = new Throttle(1_000_000, clock, async (delayMs) => {
      clock.ms += delayMs;
    });
    for (const bytes of [100_000, 4_000_000, 1, 900_000, 5_000_000]) {
      await throttle.take(bytes, signal);
    }
    await throttle.take(0, signal);
    // A second of credit at the start; the last piece need not be waited for.
    expect(clock.ms).toBeCloseTo(9000, -1);

    clock.ms += 60_000;
    await throttle.take(10_000_000, signal);
    await throttle.take(1, signal);
    expect(clock.ms).toBeCloseTo(78_000, -1);
  });

  it('does not wait without a rate', async () => {
    const throttle = new Throttle(undefined, new StandingClock(), async () => {
      throw new Error('it waited');
    });
    await throttle.take(1e12, signal);
    expect(throttle.limits).toBe(false);
  });
});
