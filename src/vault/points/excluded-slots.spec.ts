import { FaultyObjectStore } from '../../../test/support/vault/faulty-object-store.ts';
import { createVault, signal } from '../../../test/support/vault/vault-lab.ts';
import { SilentLog } from '../../kernel/log.ts';
import { encodeControl } from '../control/control-object.ts';
import { ExcludedSlots } from './excluded-slots.ts';
import { numberedKey } from '../format/object-names.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import { SlotSet } from '../slots/slot-set.ts';
import { newUlid } from '../bytes/ulid.ts';

const [a, b] = [newUlid(1), newUlid(2)];

async function condemn({ store, keys }: VaultBase, number: number, pack: string): Promise<void> {
  const set = new SlotSet();
  set.add(pack, [{ first: 0, count: 10 }]);
  const key = numberedKey('gc/', number);
  await store.put(key, encodeControl(keys, 'condemned', key, set.encode()), signal);
}

describe('ExcludedSlots', () => {
  it.each(['nothing', 'something'])(
    'reads a list again when another could not be read after it, knowing %s before',
    async (before) => {
      const store = new FaultyObjectStore(new MemoryObjectStore());
      const { vault } = await createVault(store);
      const { base } = vault.inside;
      const excluded = new ExcludedSlots(base, new SilentLog());
      if (before === 'something') {
        await condemn(base, 1, newUlid(3));
        await excluded.readCondemned(signal);
      }
      await condemn(base, 2, a);
      await condemn(base, 3, b);
      let gets = 0;
      store.follow(({ kind }) => (kind === 'get' && ++gets === 2 ? 'unreachable' : undefined));

      await expect(excluded.readCondemned(signal)).rejects.toMatchObject({
        code: 'store.unreachable',
      });
      const fresh = await excluded.readCondemned(signal);

      expect([a, b].filter((pack) => fresh.has(pack, 9))).toEqual([a, b]);
      expect([a, b].filter((pack) => excluded.condemned.has(pack, 9))).toEqual([a, b]);
      expect([a, b].filter((pack) => excluded.all.has(pack, 9))).toEqual([a, b]);
      await vault.close();
    },
  );

  it('tells a second reader of what the first is still reading', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const { base } = vault.inside;
    await condemn(base, 1, a);
    await condemn(base, 2, b);
    const waiting = Promise.withResolvers<undefined>();
    const reached = Promise.withResolvers<undefined>();
    let gets = 0;
    const slow = {
      get: async (key: string, stop: AbortSignal) => {
        const isSecond = ++gets === 2;
        if (isSecond) {
          reached.resolve(undefined);
          await waiting.promise;
        }
        return store.get(key, stop);
      },
      list: store.list.bind(store),
    };
    const excluded = new ExcludedSlots({ ...base, store: slow as never }, new SilentLog());

    const first = excluded.readCondemned(signal);
    await reached.promise;
    await excluded.readCondemned(signal);

    expect([a, b].filter((pack) => excluded.condemned.has(pack, 0))).toEqual([a, b]);
    waiting.resolve(undefined);
    await first;
    await vault.close();
  });
});
