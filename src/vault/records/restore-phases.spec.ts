import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import {
  backUp,
  createVault,
  DISK,
  fingerprint,
  openVault,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { isFault } from '../../kernel/fault.ts';
import { collectVault } from '../collect/collector.ts';
import { StoreLayer } from '../store/store-layer.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { HeldLease } from './held-lease.ts';

/** Calls `onCall` before each operation. */
class Watched extends StoreLayer {
  onCall: () => Promise<void> = async () => undefined;

  override async put(...given: Parameters<ObjectStore['put']>): Promise<void> {
    await this.onCall();
    await this.store.put(...given);
  }

  override async get(...given: Parameters<ObjectStore['get']>): ReturnType<ObjectStore['get']> {
    await this.onCall();
    return this.store.get(...given);
  }

  override async getRange(
    ...given: Parameters<ObjectStore['getRange']>
  ): ReturnType<ObjectStore['getRange']> {
    await this.onCall();
    return this.store.getRange(...given);
  }

  override async *list(...given: Parameters<ObjectStore['list']>): ReturnType<ObjectStore['list']> {
    await this.onCall();
    yield* this.store.list(...given);
  }

  override async remove(...given: Parameters<ObjectStore['remove']>): Promise<void> {
    await this.onCall();
    await this.store.remove(...given);
  }
}

const RULES = { youngMs: 0, graceMs: 0, allPointsAreListed: true };

/** A vault with a point of two packs that only this point needs. */
async function lab() {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(700_000);
  disk.write(0, seededBytes('phases', 600_000));
  const point = await backUp(vault, disk);
  await backUp(vault, new MemoryDisk(700_000));
  await vault.close();
  return { store, point, content: await fingerprint(disk.reader()), size: disk.size };
}

/** Gives the point up and prunes twice, as far as it may. @returns whether it was given up */
async function giveUp(store: ObjectStore, id: string): Promise<boolean> {
  const other = await openVault(store);
  try {
    await other.retire(id, signal);
    return true;
  } catch (error) {
    if (!isFault(error, 'vault.point-being-read')) {
      throw error;
    }
    return false;
  } finally {
    await collectVault(other.inside, RULES, { signal });
    await other.close();
  }
}

/** Restores while somebody else gives the point up before the operation `at`. */
async function restoreWith(at: number): Promise<{
  readonly calls: number;
  readonly outcome: string;
  readonly givenUp: boolean | undefined;
}> {
  const { store, point, content, size } = await lab();
  const watched = new Watched(store);
  const vault = await openVault(watched);
  let calls = 0;
  let givenUp: boolean | undefined;
  watched.onCall = async () => {
    calls += 1;
    if (calls === at) {
      givenUp = await giveUp(store, point.id);
    }
  };
  const disk = new MemoryDisk(size);
  let outcome: string;
  try {
    const found = await vault.point(point.id, signal);
    await using held = new AsyncDisposableStack();
    held.use(await HeldLease.take(vault.inside, [found], { purpose: 'a test' }, signal));
    await vault.restoreDisk({ pointId: found.id, diskId: DISK }, disk.writer(), { signal });
    outcome = (await fingerprint(disk.reader())) === content ? 'whole' : 'other content';
  } catch (error) {
    outcome = isFault(error) ? error.code : String(error);
  }
  await vault.close();
  return { calls, outcome, givenUp };
}

it('a restore is whole, or the point is refused before a byte is read, whenever it is given up', async () => {
  const { calls } = await restoreWith(0);
  const outcomes: string[] = [];
  for (let at = 1; at <= calls; at++) {
    const { outcome, givenUp } = await restoreWith(at);
    outcomes.push(`${outcome} ${String(givenUp)}`);
  }

  // First nobody knows of the restore, then it is refused to others; at last it has ended.
  expect(calls).toBeGreaterThan(8);
  expect([...new Set(outcomes)].sort()).toEqual(
    expect.arrayContaining(['vault.point-retired true', 'whole false']),
  );
  const allowed = /^(whole (true|false)|vault\.point-(retired|not-found) true)$/;
  expect(outcomes.filter((outcome) => !allowed.test(outcome))).toEqual([]);
});
