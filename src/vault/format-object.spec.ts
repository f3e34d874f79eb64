import { seededBytes } from '../../test/support/seeded-bytes.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../test/support/vault-lab.ts';
import { decodeFormat, encodeFormat } from './format-object.ts';
import { KeyTree } from './key-tree.ts';
import { MemoryObjectStore } from './object-stores/memory.ts';

const MEANT = { incompatible: 0, readOnly: 0, compatible: 0, noCollect: 0 };

/** A vault with one point whose format names features of a later program. */
async function setUp(features: Partial<typeof MEANT>) {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(300_000);
  disk.write(0, seededBytes('features', 200_000));
  const point = await backUp(vault, disk);
  const keys = new KeyTree(vault.exportKey(), Buffer.from(vault.id, 'hex'));
  for (const { key } of await Array.fromAsync(store.list('fmt/', signal))) {
    const format = decodeFormat(keys, key, (await store.get(key, signal)) ?? new Uint8Array());
    const later = { ...format, features: { ...MEANT, ...features } };
    await store.remove(key, signal);
    await store.put(key, encodeFormat(keys, key, later), signal);
  }
  return { store, disk, point };
}

describe('features this program does not know', () => {
  it('refuse the vault when they are incompatible', async () => {
    const { store } = await setUp({ incompatible: 4 });

    await expect(openVault(store)).rejects.toMatchObject({ code: 'vault.format-newer' });
  });

  it('refuse writing and let read when they are read-only', async () => {
    const { store, disk, point } = await setUp({ readOnly: 1 });
    const vault = await openVault(store);
    const before = (await Array.fromAsync(store.list('', signal))).length;

    await expect(backUp(vault, disk)).rejects.toMatchObject({ code: 'vault.format-newer' });
    await expect(vault.retire(point.id, signal)).rejects.toMatchObject({
      code: 'vault.format-newer',
    });

    const back = await restored(vault, point, disk.size);
    expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
    expect(await Array.fromAsync(store.list('', signal))).toHaveLength(before);
  });

  it('change nothing when they are compatible', async () => {
    const { store, disk } = await setUp({ compatible: 1 });
    const vault = await openVault(store);

    await expect(backUp(vault, disk)).resolves.toMatchObject({ vmName: 'web' });
  });
});
