import { randomInt } from 'node:crypto';
import { describeObjectStore } from '../../../test/contract/object-store.contract.ts';
import {
  diesAfterWrites,
  failsSometimes,
  FaultyObjectStore,
  type FailureScript,
} from '../../../test/support/vault/faulty-object-store.ts';
import { Clock } from '../../kernel/clock.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { RetryingObjectStore } from './retrying.ts';

const { signal } = new AbortController();

/** A clock that only waiting moves. */
class WaitingClock extends Clock {
  readonly waitedMs: number[] = [];

  readonly wait = async (delayMs: number): Promise<void> => {
    this.waitedMs.push(delayMs);
  };

  override nowMs(): number {
    return this.monotonicMs();
  }

  override monotonicMs(): number {
    return this.waitedMs.reduce((sum, delayMs) => sum + delayMs, 0);
  }
}

function setUp(script: FailureScript, { chance = (): number => 1, patienceMs = 10_000 } = {}) {
  const clock = new WaitingClock();
  const faulty = new FaultyObjectStore(new MemoryObjectStore(), script);
  const store = new RetryingObjectStore(faulty, {
    clock,
    wait: clock.wait,
    chance,
    firstDelayMs: 100,
    patienceMs,
  });
  return { clock, faulty, store };
}

const seed = randomInt(2 ** 31);
describeObjectStore(
  `RetryingObjectStore over a store that fails every third time (seed ${seed})`,
  async () => setUp(failsSometimes(1 / 3, seed), { patienceMs: 1e12 }).store,
);

describe('RetryingObjectStore', () => {
  it('tells who listens how each attempt ends, and forgets none', async () => {
    const heard: string[] = [];
    const watch = {
      asked: () => heard.push('asked'),
      answered: () => heard.push('answered'),
      failed: () => heard.push('failed'),
      left: () => heard.push('left'),
    };
    const faulty = new FaultyObjectStore(new MemoryObjectStore(), ({ index }) =>
      index === 0 || index === 2 ? 'unreachable' : undefined,
    );
    const store = new RetryingObjectStore(faulty, { wait: async () => undefined, watch });

    await store.put('a', Uint8Array.of(1), signal);
    expect(heard).toEqual(['asked', 'failed', 'asked', 'answered']);
    for await (const { key } of store.list('', signal)) {
      expect(key).toBe('a');
    }

    expect(heard.slice(4)).toEqual(['asked', 'failed', 'asked', 'answered']);
  });

  it('waits for who answers nonsense, and says so in the end', async () => {
    const { faulty, store } = setUp(({ index }) => (index < 2 ? 'nonsense' : undefined));
    await store.put('a', Uint8Array.of(1), signal);
    expect(faulty.requestCount).toBe(3);

    faulty.follow(() => 'nonsense');
    await expect(store.get('a', signal)).rejects.toMatchObject({ code: 'store.nonsense' });
    expect(faulty.requestCount).toBeGreaterThan(5);
  });

  it('waits longer each time, and goes on when the store is back', async () => {
    const { clock, faulty, store } = setUp(({ index }) => (index < 4 ? 'unreachable' : undefined));

    await store.put('a', Uint8Array.of(1), signal);

    expect(clock.waitedMs).toEqual([100, 200, 400, 800]);
    expect(faulty.requestCount).toBe(5);
    expect(await store.get('a', signal)).toEqual(Uint8Array.of(1));
  });

  it('spreads its attempts by chance', async () => {
    const { clock, store } = setUp(({ index }) => (index < 2 ? 'unreachable' : undefined), {
      chance: () => 0,
    });

    await store.get('a', signal);

    expect(clock.waitedMs).toEqual([50, 100]);
  });

  it('gives up after its patience with what the store said last', async () => {
    const { clock, store } = setUp(() => 'unreachable');

    await expect(store.get('a', signal)).rejects.toMatchObject({ code: 'store.unreachable' });

    expect(clock.monotonicMs()).toBeLessThanOrEqual(10_000);
    expect(clock.monotonicMs()).toBeGreaterThan(5_000);
  });

  it.each(['denied', 'full'] as const)('does not repeat what was %s', async (failure) => {
    const { clock, store } = setUp(() => failure);

    await expect(store.put('a', Uint8Array.of(1), signal)).rejects.toMatchObject({
      code: `store.${failure}`,
    });
    expect(clock.waitedMs).toEqual([]);
  });

  it('does not survive the death of its process', async () => {
    const { store } = setUp(diesAfterWrites(1));
    await store.put('a', Uint8Array.of(1), signal);

    await expect(store.put('b', Uint8Array.of(1), signal)).rejects.toThrow('died');
    await expect(store.get('a', signal)).rejects.toThrow('died');
  });

  it('goes on with a list that broke off, showing nothing twice', async () => {
    const { faulty, store } = setUp(() => undefined);
    for (const key of ['a', 'b', 'c', 'd', 'e']) {
      await store.put(key, Uint8Array.of(1), signal);
    }
    const before = faulty.requestCount;
    faulty.follow(({ index }) => (index < before + 2 ? 'unreachable-after' : undefined));

    const keys = (await Array.fromAsync(store.list('', signal))).map(({ key }) => key);

    expect(keys).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('stops waiting when its signal fires', async () => {
    const abort = new AbortController();
    const faulty = new FaultyObjectStore(new MemoryObjectStore(), () => {
      setImmediate(() => {
        abort.abort();
      });
      return 'unreachable';
    });
    const store = new RetryingObjectStore(faulty, { firstDelayMs: 3_600_000, patienceMs: 1e9 });

    await expect(store.get('a', abort.signal)).rejects.toMatchObject({ name: 'AbortError' });
    expect(faulty.requestCount).toBe(1);
  });
});
