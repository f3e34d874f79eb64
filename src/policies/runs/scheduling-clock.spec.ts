import { Clock } from '../../kernel/clock.ts';
import { ComparedClock } from './scheduling-clock.ts';

const NOW = Date.UTC(2026, 0, 1);

function setUp(offsets: number[]) {
  const time = { monotonicMs: 0, asked: 0 };
  const clock = new (class extends Clock {
    override nowMs(): number {
      return NOW;
    }

    override monotonicMs(): number {
      return time.monotonicMs;
    }
  })();
  const rows = { databaseMs: async () => NOW - (offsets[time.asked++ % offsets.length] ?? 0) };
  return { time, compared: new ComparedClock(clock, rows) };
}

describe('ComparedClock', () => {
  it('trusts a clock that the database agrees with, whatever single answers say', async () => {
    const { compared } = setUp([0, 3_600_000, -59_000, 59_000, -3_600_000]);
    expect(await compared.problem()).toBeUndefined();
    expect(compared.nowMs()).toBe(NOW);
  });

  it.each([61_000, -61_000])('says that it is wrong by %d ms', async (offset) => {
    const { compared } = setUp([offset]);
    expect(await compared.problem()).toContain(`${String(offset / 1000)} s`);
  });

  it('looks once a minute, and each time while it is wrong', async () => {
    const offsets = [0];
    const { time, compared } = setUp(offsets);
    await compared.problem();
    await compared.problem();
    expect(time.asked).toBe(5);
    time.monotonicMs = 60_000;
    offsets[0] = 90_000;
    await compared.problem();
    offsets[0] = 0;
    expect(await compared.problem()).toBeUndefined();
    expect(time.asked).toBe(15);
  });
});
