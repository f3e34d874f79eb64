import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { keysOf } from '../../../test/support/vault/vault-damage.ts';
import { backUp, createVault, openVault, signal } from '../../../test/support/vault/vault-lab.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SilentLog } from '../../kernel/log.ts';
import { Holds } from './holds.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { StoreLayer } from '../store/store-layer.ts';

async function setUp() {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(300_000);
  disk.write(0, seededBytes('hold', 200_000));
  return { store, point: await backUp(vault, disk) };
}

describe('a hold', () => {
  it('with the longest reason is seen by everybody', async () => {
    const { store, point } = await setUp();
    const { base, points } = (await openVault(store)).inside;
    const reason = 'r'.repeat(4096);

    await new Holds(base, new SilentLog()).hold(points, point, { reason, atMs: 1 }, signal);

    const { base: other } = (await openVault(store)).inside;
    expect(await new Holds(other, new SilentLog()).list(signal)).toMatchObject([
      { id: point.id, reason },
    ]);
  });

  it('with a longer one is refused, and nothing is written', async () => {
    const { store, point } = await setUp();
    const { base, points } = (await openVault(store)).inside;
    const why = { reason: 'r'.repeat(4097), atMs: 1 };

    await expect(
      new Holds(base, new SilentLog()).hold(points, point, why, signal),
    ).rejects.toMatchObject({ code: 'request.invalid' });

    expect(await keysOf(store, 'hold/')).toEqual([]);
  });

  it.each([
    ['nothing', undefined],
    ['something else', Buffer.from('something else')],
  ])('is not said to be one when the store gives back %s', async (_, given) => {
    const { store, point } = await setUp();
    class Forgetful extends StoreLayer {
      override async get(key: string, now: AbortSignal): Promise<Uint8Array | undefined> {
        return key.startsWith('hold/') ? given : this.store.get(key, now);
      }
    }
    const { base, points } = (await openVault(new Forgetful(store))).inside;
    const holds = new Holds(base, new SilentLog());

    await expect(holds.hold(points, point, { reason: '', atMs: 1 }, signal)).rejects.toMatchObject({
      code: 'vault.control-corrupt',
    });
  });
});
