import { backUp, createVault, signal } from '../../../test/support/vault/vault-lab.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SilentLog } from '../../kernel/log.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { MeteredObjectStore } from '../object-stores/metered.ts';
import { PointStore } from './point-store.ts';

describe('PointStore', () => {
  it('keeps what was read last in bounded memory, and reads the rest again', async () => {
    const store = new MeteredObjectStore(new MemoryObjectStore());
    const { vault } = await createVault(store);
    const disk = new MemoryDisk(300_000);
    disk.write(0, seededBytes('points', 200_000));
    const made = [await backUp(vault, disk), await backUp(vault, disk), await backUp(vault, disk)];
    const gets = async (points: PointStore, name: (typeof made)[number]): Promise<number> => {
      const before = store.traffic.gets;
      expect((await points.load(name, signal)).point).toEqual(name);
      return store.traffic.gets - before;
    };
    const [first, second] = made;
    if (first === undefined || second === undefined) {
      throw new Error('there are no points');
    }
    const roomy = new PointStore(vault.inside.base, new SilentLog());
    const narrow = new PointStore(vault.inside.base, new SilentLog(), undefined, 1);

    expect(await gets(roomy, first)).toBe(2);
    expect(await gets(roomy, second)).toBe(2);
    expect(await gets(roomy, first)).toBe(0);
    expect(await gets(narrow, first)).toBe(2);
    expect(await gets(narrow, first)).toBe(0);
    expect(await gets(narrow, second)).toBe(2);
    expect(await gets(narrow, first)).toBe(2);
    expect((await narrow.list(signal)).map(({ id }) => id)).toEqual(made.map(({ id }) => id));
  });
});
