import { describeObjectStore } from '../../contract/object-store.contract.ts';
import { seededNumbers } from '../random/seeded-numbers.ts';
import { SimulatedBucket } from './bucket.ts';
import { NO_FAULTS, Scheduler, type FaultRates } from './scheduler.ts';
import { SimulatedObjectStore } from './simulated-object-store.ts';

const { signal } = new AbortController();

function setUp(faults: FaultRates = NO_FAULTS, seed = 1) {
  const bucket = new SimulatedBucket();
  const scheduler = new Scheduler({ bucket, random: seededNumbers(seed), faults });
  const open = (client: string, pageSize = 3) =>
    new SimulatedObjectStore(scheduler, { client, pageSize });
  return { bucket, scheduler, open };
}

/** Runs what clients do until all of it has ended. */
async function finish<T>(scheduler: Scheduler, work: Promise<T>): Promise<T> {
  const ended = { yes: false };
  const end = (): void => {
    ended.yes = true;
  };
  work.then(end, end);
  expect(await scheduler.run(() => ended.yes)).toBe(true);
  return work;
}

/** Serves requests by itself, for those who know nothing of a scheduler. */
class ServedStore extends SimulatedObjectStore {
  readonly #closing: { closed: boolean };

  constructor() {
    const scheduler = new Scheduler({ bucket: new SimulatedBucket(), random: seededNumbers(1) });
    super(scheduler, { client: 'only', pageSize: 100 });
    const closing = { closed: false };
    this.#closing = closing;
    void (async () => {
      while (!closing.closed) {
        await scheduler.run(() => closing.closed);
      }
    })();
  }

  override async close(): Promise<void> {
    this.#closing.closed = true;
    return super.close();
  }
}

describeObjectStore('SimulatedObjectStore', async () => new ServedStore());

describe('a simulated store', () => {
  it('has the same history for the same numbers, and another one for others', async () => {
    const history = async (seed: number): Promise<readonly string[]> => {
      const { scheduler, open } = setUp(NO_FAULTS, seed);
      const [a, b] = [open('a'), open('b')];
      const puts = Array.from({ length: 10 }, (_, index) => [
        a.put(`d/${String(index)}`, Uint8Array.of(index), signal),
        b.put(`m/${String(index)}`, Uint8Array.of(index), signal),
      ]);
      await finish(scheduler, Promise.all(puts.flat()));
      return scheduler.history;
    };

    expect(await history(1)).toEqual(await history(1));
    expect(await history(1)).not.toEqual(await history(2));
  });

  it('shows puts in a list that is under way, behind what it has shown', async () => {
    const seen = new Set<number>();
    for (let seed = 0; seed < 50; seed++) {
      const { scheduler, open } = setUp(NO_FAULTS, seed);
      const store = open('a', 1);
      await finish(scheduler, store.put('s/1', Uint8Array.of(1), signal));
      const listing = Array.fromAsync(store.list('s/', signal));
      const puts = [0, 2].map((n) => open('b').put(`s/${String(n)}`, Uint8Array.of(n), signal));
      await finish(scheduler, Promise.all([listing, ...puts]));
      seen.add((await listing).length);
    }

    expect([...seen].sort()).toEqual([1, 2, 3]);
  });

  it('lets a request of a client that died take effect later, or never', async () => {
    const outcomes = new Set<boolean>();
    for (let seed = 0; seed < 20; seed++) {
      const { scheduler, open, bucket } = setUp(NO_FAULTS, seed);
      void open('dying').put('gc/1', Uint8Array.of(1), signal);
      scheduler.kill('dying');
      await finish(scheduler, open('other').get('gc/1', signal));
      scheduler.settleGhosts();
      outcomes.add(bucket.get('gc/1') !== undefined);
    }

    expect(outcomes.size).toBe(2);
  });

  it.each([
    { fault: 'lost', code: 'store.unreachable', isThere: false },
    { fault: 'unanswered', code: 'store.unreachable', isThere: true },
    { fault: 'late', code: 'store.unreachable', isThere: false },
  ])('fails a put that is $fault', async ({ fault, code, isThere }) => {
    const { scheduler, open, bucket } = setUp({ ...NO_FAULTS, [fault]: 1 });

    const put = finish(scheduler, open('a').put('s/1', Uint8Array.of(1), signal));

    await expect(put).rejects.toMatchObject({ code });
    expect(bucket.get('s/1') !== undefined).toBe(isThere);
  });

  it('refuses removals, cuts bodies short, and says when nothing moves any more', async () => {
    const { scheduler, open } = setUp({ ...NO_FAULTS, denied: 1, truncated: 1 });
    const store = open('a');
    await finish(scheduler, store.put('d/1', Uint8Array.of(1), signal));

    const removal = finish(scheduler, store.remove('d/1', signal));
    await expect(removal).rejects.toMatchObject({ code: 'store.denied' });
    const reading = finish(scheduler, store.get('d/1', signal));
    await expect(reading).rejects.toMatchObject({ code: 'store.unreachable' });
    expect(await scheduler.run(() => false)).toBe(false);
  });

  it('notices other bytes under a key, and the removal of what is permanent', async () => {
    const { scheduler, open, bucket } = setUp();
    const store = open('a');
    await finish(scheduler, store.put('gc/1', Uint8Array.of(1), signal));
    await finish(scheduler, store.put('gc/1', Uint8Array.of(2), signal));
    await finish(scheduler, store.remove('gc/1', signal));

    expect(bucket.brokenRules).toHaveLength(2);
    expect(bucket.versions('gc/1')).toHaveLength(3);
  });
});
