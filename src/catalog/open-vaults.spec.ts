import { setTimeout as pause } from 'node:timers/promises';
import { createVault, openVault, signal } from '../../test/support/vault/vault-lab.ts';
import { SilentLog } from '../kernel/log.ts';
import { MemoryObjectStore } from '../../test/support/vault/memory-object-store.ts';
import { StoreLayer } from '../vault/store/store-layer.ts';
import { OpenVaults, type VaultUse } from './open-vaults.ts';

const LONG_MS = 2 ** 30;

/** Reports when it was closed, and can be made to say that its place has changed. */
class WatchedStore extends StoreLayer {
  readonly #closed = Promise.withResolvers<undefined>();
  readonly closed = this.#closed.promise;
  isClosed = false;
  isOther = false;

  override isOutdated(): boolean {
    return this.isOther;
  }

  override async close(): Promise<void> {
    this.isClosed = true;
    this.#closed.resolve(undefined);
  }
}

async function opener(unusedMs: number) {
  const objects = new MemoryObjectStore();
  await (await createVault(objects)).vault.close();
  const stores: WatchedStore[] = [];
  const failures: Error[] = [];
  const vaults = new OpenVaults(
    async () => {
      const failure = failures.pop();
      if (failure !== undefined) {
        throw failure;
      }
      const store = new WatchedStore(objects);
      stores.push(store);
      return { vault: await openVault(store), store };
    },
    unusedMs,
    new SilentLog(),
  );
  return { vaults, stores, failures };
}

const use = (vaultId: string): VaultUse => ({ vaultId, used: 'any' });

describe('a vault that several use', () => {
  it('is opened once, stays open while one of them has it, and then is closed', async () => {
    const { vaults, stores } = await opener(1);
    const [first, second] = await Promise.all([
      vaults.hold(use('v'), signal),
      vaults.hold(use('v'), signal),
    ]);
    expect(second.vault).toBe(first.vault);

    first[Symbol.dispose]();
    await pause(5);
    expect(stores.map(({ isClosed }) => isClosed)).toEqual([false]);
    expect(await second.vault.points(signal)).toEqual([]);

    second[Symbol.dispose]();
    await stores[0]?.closed;
    const third = await vaults.hold(use('v'), signal);
    expect(third.vault).not.toBe(first.vault);
    expect(stores).toHaveLength(2);
    await vaults.closeAll();
  });

  it('stays open a while for the next one', async () => {
    const { vaults, stores } = await opener(LONG_MS);
    const first = await vaults.hold(use('v'), signal);
    first[Symbol.dispose]();
    await vaults.rest();

    const second = await vaults.hold(use('v'), signal);

    expect(second.vault).toBe(first.vault);
    expect(stores).toHaveLength(1);
    await vaults.closeAll();
  });

  it('is opened anew when it is another one by now; who has it goes on, and the last one closes it', async () => {
    const { vaults, stores } = await opener(LONG_MS);
    const before = await vaults.hold(use('v'), signal);
    const [outdated] = stores;
    Object.assign(outdated ?? {}, { isOther: true });

    const after = await vaults.hold(use('v'), signal);

    expect(after.vault).not.toBe(before.vault);
    expect(await before.vault.points(signal)).toEqual([]);
    expect(outdated?.isClosed).toBe(false);
    before[Symbol.dispose]();
    await outdated?.closed;
    expect(stores.map(({ isClosed }) => isClosed)).toEqual([true, false]);
    await vaults.closeAll();
  });

  it('is opened once for each set of credentials, and anew after these changed', async () => {
    const { vaults, stores } = await opener(LONG_MS);
    const writer = await vaults.hold(use('v'), signal);
    const restorer = await vaults.hold({ vaultId: 'v', used: 'restorer' }, signal);
    expect(restorer.vault).not.toBe(writer.vault);

    vaults.renew('v');

    expect(await writer.vault.points(signal)).toEqual([]);
    expect((await vaults.hold(use('v'), signal)).vault).not.toBe(writer.vault);
    writer[Symbol.dispose]();
    await stores[0]?.closed;
    expect(stores.map(({ isClosed }) => isClosed)).toEqual([true, false, false]);
    await vaults.closeAll();
  });

  it('is tried anew after it could not be opened', async () => {
    const { vaults, failures } = await opener(LONG_MS);
    failures.push(new Error('away'));

    const [first, second] = await Promise.allSettled([
      vaults.hold(use('v'), signal),
      vaults.hold(use('v'), signal),
    ]);

    expect([first.status, second.status]).toEqual(['rejected', 'rejected']);
    expect((await vaults.hold(use('v'), signal)).vault.name).toBe('test');
    await vaults.closeAll();
  });

  it('is closed with all others at the end, also those that somebody still has', async () => {
    const { vaults, stores } = await opener(LONG_MS);
    await vaults.hold(use('v'), signal);
    Object.assign(stores[0] ?? {}, { isOther: true });
    await vaults.hold(use('v'), signal);
    await vaults.hold(use('w'), signal);

    await vaults.closeAll();

    expect(stores.map(({ isClosed }) => isClosed)).toEqual([true, true, true]);
  });

  it('that was taken over is closed like others', async () => {
    const { vaults } = await opener(1);
    const store = new WatchedStore(new MemoryObjectStore());
    const { vault } = await createVault(store);

    vaults.adopt(use('v'), { vault, store });

    await store.closed;
  });
});
