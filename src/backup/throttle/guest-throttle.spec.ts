import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { FakeEngine } from '../../../test/support/fake-engine/fake-engine.ts';
import { Clock } from '../../kernel/clock.ts';
import { SilentLog } from '../../kernel/log.ts';
import { RateLimiter } from '../../kernel/rates/rate-limiter.ts';
import { MiB } from '../../kernel/text/bytes.ts';
import { VmDefinition } from '../../vm/definition.ts';
import { GuestThrottle } from './guest-throttle.ts';

const { signal } = new AbortController();
const VM = randomUUID();
const LIMIT = { p99MsMax: 20, underEmulation: false };
/** How long the backup needs for a MiB if nobody stops it. */
const MIB_MS = 10;

class SetClock extends Clock {
  ms = 0;

  override nowMs(): number {
    return this.ms;
  }

  override monotonicMs(): number {
    return this.ms;
  }
}

class BrokenLog extends SilentLog {
  readonly warnings: string[] = [];

  override warn(event?: string): void {
    this.warnings.push(event ?? '');
  }
}

/** A frozen running VM with a throttle whose looks the test lets happen. */
async function setUp(limit = LIMIT) {
  const clock = new SetClock();
  const engine = new FakeEngine(clock);
  const disk = { id: randomUUID(), name: 'd', path: '/d', format: 'raw', sizeBytes: MiB };
  await engine.add(VmDefinition.parse({ id: VM, name: 'web', disks: [disk] }), signal);
  engine.setStatus(VM, 'running');
  const start = async () => {
    const frozen = await engine.freeze(VM, { jobToken: 'job' }, signal);
    const log = new BrokenLog();
    let look: () => void = () => undefined;
    const pause = async (_ms: number, stop: AbortSignal): Promise<void> =>
      new Promise((resolve, reject) => {
        look = resolve;
        stop.addEventListener('abort', () => {
          reject(stop.reason as Error);
        });
      });
    const throttle = GuestThrottle.start(frozen, limit, { clock, log, pause });
    const limiter = new RateLimiter(throttle === undefined ? [] : [throttle], clock, async (ms) => {
      clock.ms += ms;
    });
    await setImmediate();
    /** One second, in which the guest writes and the backup reads. */
    const second = async (writeMs: number): Promise<void> => {
      const startMs = clock.ms;
      engine.countWrites(VM, 10, writeMs);
      while (clock.ms < startMs + 1000) {
        await limiter.take(MiB, signal);
        clock.ms += MIB_MS;
      }
      look();
      await setImmediate();
    };
    return { frozen, log, throttle, second };
  };
  return { engine, start };
}

describe('GuestThrottle', () => {
  it('slows reading down while writes are slow, releases it, and says what it cost', async () => {
    const { start } = await setUp();
    const { throttle, second, log } = await start();
    await second(5);
    await second(5);
    expect(throttle?.rate()).toBeUndefined();
    expect(throttle?.notes()).toEqual([]);
    for (let count = 0; count < 30; count += 1) {
      await second(50);
    }
    expect(throttle?.rate()).toBe(4 * MiB);
    const costMs = throttle?.waitedMs ?? 0;
    expect(costMs).toBeGreaterThan(10_000);
    expect(throttle?.notes()).toEqual([
      `Reading was slowed down because the guest's writes took longer than 20 ms; it waited ${(costMs / 1000).toFixed(1)} s.`,
    ]);
    // The slow writes stay in view for ten seconds.
    for (let count = 0; count < 72; count += 1) {
      await second(5);
    }
    expect(throttle?.rate()).toBeUndefined();
    await throttle?.[Symbol.asyncDispose]();
    expect(log.warnings).toEqual([]);
  });

  it('makes one step for one second of slow writes', async () => {
    const { throttle, second } = await (await setUp()).start();
    await second(5);
    await second(50);
    const rate = throttle?.rate() ?? 0;
    expect(rate).toBeGreaterThan(40 * MiB);
    for (let count = 0; count < 20; count += 1) {
      await second(5);
    }
    expect(throttle?.rate()).toBe(rate);
    await throttle?.[Symbol.asyncDispose]();
  });

  it('leaves an emulated guest alone, unless it is asked for', async () => {
    for (const [underEmulation, rate] of [
      [false, undefined],
      [true, 4 * MiB],
    ] as const) {
      const { engine, start } = await setUp({ ...LIMIT, underEmulation });
      engine.setEmulated(VM);
      const { throttle, second } = await start();
      for (let count = 0; count < 20; count += 1) {
        await second(50);
      }
      expect(throttle?.rate()).toBe(rate);
      expect(throttle?.notes().join()).toMatch(underEmulation ? /waited/ : /was not kept/);
      await throttle?.[Symbol.asyncDispose]();
    }
  });

  it('has nothing to do without a limit, or for a VM that is off', async () => {
    const { engine, start } = await setUp();
    const { frozen, throttle } = await start();
    const parts = { clock: new SetClock(), log: new SilentLog() };
    expect(GuestThrottle.start(frozen, undefined, parts)).toBeUndefined();
    await throttle?.[Symbol.asyncDispose]();
    await frozen[Symbol.asyncDispose]();
    engine.setStatus(VM, 'stopped');
    expect((await start()).throttle).toBeUndefined();
  });

  it('slows nothing down when the guest cannot be asked any more', async () => {
    const { frozen, second, throttle, log } = await (await setUp()).start();
    await second(5);
    for (let count = 0; count < 5; count += 1) {
      await second(50);
    }
    expect(throttle?.rate()).toBeDefined();
    Object.assign(frozen, {
      guestWriteLatency: async () => Promise.reject(new Error('out of order')),
    });
    await second(50);
    expect(throttle?.rate()).toBeUndefined();
    expect(log.warnings).toEqual(['backup.guest-not-watched']);
    await throttle?.[Symbol.asyncDispose]();
  });
});
