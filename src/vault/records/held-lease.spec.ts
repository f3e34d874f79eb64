import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { backUp, createVault, openVault, signal } from '../../../test/support/vault/vault-lab.ts';
import { Fault } from '../../kernel/fault.ts';
import { collectVault } from '../collect/collector.ts';
import type { Vault } from '../vault.ts';
import { HeldLease } from './held-lease.ts';
import { ReadingLeases } from './reading-leases.ts';

const RULES = { youngMs: 0, graceMs: 0, allPointsAreListed: true };
const PURPOSE = { purpose: 'a test' };

/** Two vaults open on one store, as on two machines, with a point and a newer one. */
async function lab(store = new MemoryObjectStore()) {
  const { vault: here } = await createVault(store);
  const disk = new MemoryDisk(1_000_000);
  disk.write(0, seededBytes('lease', 900_000));
  const point = await backUp(here, disk);
  await backUp(here, new MemoryDisk(1_000_000));
  const there = await openVault(store);
  return { store, here, there, point };
}

async function records(store: MemoryObjectStore): Promise<number> {
  return (await Array.fromAsync(store.list('cat/', signal))).length;
}

async function packs(store: MemoryObjectStore): Promise<string[]> {
  return (await Array.fromAsync(store.list('d/', signal))).map(({ key }) => key);
}

async function prune(vault: Vault): Promise<void> {
  await collectVault(vault.inside, RULES, { signal });
}

const beingRead = { code: 'vault.point-being-read' };

describe('a reading lease', () => {
  it('keeps others from giving the point up, and leaves nothing behind', async () => {
    const { store, here, there, point } = await lab();
    const lease = await HeldLease.take(here.inside, [point], PURPOSE, signal);
    const [shown] = await new ReadingLeases(there.inside).list(signal);

    expect(shown).toMatchObject({ id: point.id, reader: 'a test on a host' });
    await expect(there.retire(point.id, signal)).rejects.toMatchObject(beingRead);
    await expect(there.retire(point.id, signal)).rejects.toThrow('a test on a host');
    await lease.end();
    expect(await records(store)).toBe(0);
    await there.retire(point.id, signal);
  });

  it('keeps the packs of a point that was given up at the same moment', async () => {
    const { store, here, there, point } = await lab();
    const { points, clock } = there.inside;
    // Between the look for leases and the object that gives the point up.
    await points.retire(point, clock.nowMs(), signal);
    const options = { ...PURPOSE, mayBeRetired: true };
    const lease = await HeldLease.take(here.inside, [point], options, signal);
    const before = await packs(store);
    await prune(there);
    await prune(there);

    expect(await packs(store)).toEqual(before);
    expect(await there.inside.points.exists(point, signal)).toBe(true);
    await lease.end();
    await prune(there);
    expect(await there.inside.points.exists(point, signal)).toBe(false);
    expect((await packs(store)).length).toBeLessThan(before.length);
  });

  it('is refused for a point that was given up first', async () => {
    const { store, here, there, point } = await lab();
    await there.retire(point.id, signal);

    await expect(HeldLease.take(here.inside, [point], PURPOSE, signal)).rejects.toMatchObject({
      code: 'vault.point-retired',
    });
    expect(await records(store)).toBe(0);
  });

  it('is renewed while it is held, each time as one object', async () => {
    const { store, here, there, point } = await lab();
    const renewed = Promise.withResolvers<undefined>();
    const { base } = here.inside;
    const put = store.put.bind(store);
    let puts = 0;
    store.put = async (...given) => {
      await put(...given);
      puts += 1;
      if (puts === 3) {
        renewed.resolve(undefined);
      }
    };
    const options = { ...PURPOSE, renewalMs: 1 };
    await using held = new AsyncDisposableStack();
    held.use(await HeldLease.take({ ...here.inside, base }, [point], options, signal));
    await renewed.promise;

    await expect(there.retire(point.id, signal)).rejects.toMatchObject(beingRead);
    expect(await records(store)).toBeLessThan(3);
  });

  it.each(['store.denied', 'store.full'] as const)(
    'is done without where nothing can be written (%s), and that is said once',
    async (code) => {
      const { store, here, point } = await lab();
      store.put = async () => Promise.reject(new Fault(code, 'no'));
      const said: string[] = [];
      const without = (why: Fault) => said.push(why.code);
      await using lease = await HeldLease.take(
        here.inside,
        [point],
        { ...PURPOSE, without },
        signal,
      );

      expect(lease.isInForce).toBe(false);
      expect(said).toEqual([code]);
    },
  );

  it('ends by an object that says so where nothing can be removed', async () => {
    const { store, here, there, point } = await lab();
    const remove = store.remove.bind(store);
    store.remove = async () => Promise.reject(new Fault('store.denied', 'no'));
    const lease = await HeldLease.take(here.inside, [point], PURPOSE, signal);
    await lease.end();

    expect(await records(store)).toBe(2);
    store.remove = remove;
    await there.retire(point.id, signal);
  });
});
