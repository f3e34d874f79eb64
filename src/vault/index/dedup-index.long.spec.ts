import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
  VM,
} from '../../../test/support/vault/vault-lab.ts';
import { encodeControl } from '../control/control-object.ts';
import { numberedKey, parsePackKey, PREFIXES } from '../format/object-names.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { SlotSet } from '../slots/slot-set.ts';
import type { Vault } from '../vault.ts';

const SIZE = 6_000_000;
/** So few that everything goes to runs, and a table with the smallest capacity. */
const FEW = { indexEntries: 2 ** 8, workers: 1 };
const OTHER = { vmId: '22222222-2222-4333-8444-555555555555', vmName: 'other' };

describe('an index that does not fit into memory', () => {
  let cacheFolder: string;
  let store: MemoryObjectStore;
  const open: Vault[] = [];

  beforeEach(async () => {
    cacheFolder = await mkdtemp(join(tmpdir(), 'hyperkeep-index-'));
    store = new MemoryObjectStore();
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map(async (vault) => vault.close()));
    await rm(cacheFolder, { recursive: true });
  });

  const opened = async (): Promise<Vault> => {
    const vault = await openVault(store, { cacheFolder, ...FEW });
    open.push(vault);
    return vault;
  };

  const runFiles = async (): Promise<string[]> => {
    const [place = ''] = await readdir(cacheFolder);
    return (await readdir(join(cacheFolder, place, 'runs'))).map((name) =>
      join(cacheFolder, place, 'runs', name),
    );
  };

  const dataBytes = async (): Promise<number> => {
    let total = 0;
    for await (const { size } of store.list('d/', signal)) {
      total += size;
    }
    return total;
  };

  /** Makes a vault with a point, and opens it with nothing known but the cache. */
  const filled = async () => {
    const { vault } = await createVault(store, { parameters: { packBytes: 256 * 1024 } });
    const disk = new MemoryDisk(SIZE);
    disk.write(0, seededBytes('content', 5_000_000));
    const point = await backUp(vault, disk);
    await vault.close();
    return { disk, point };
  };

  it('finds every chunk again through runs, also after a restart', async () => {
    const { disk } = await filled();
    const before = await dataBytes();
    for (let round = 0; round < 2; round++) {
      const vault = await opened();
      const point = await backUp(vault, disk, { vm: { ...OTHER, vmId: `${OTHER.vmId}-${round}` } });
      expect(point.disks[0]?.statistics.newBytes).toBe(0);
      const back = await restored(vault, point, SIZE);
      expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
    }
    expect(await dataBytes()).toBe(before);
    expect((await runFiles()).filter((name) => name.endsWith('.run'))).toHaveLength(1);
  });

  it('moves to runs what a session stores, while it goes on', async () => {
    const { vault } = await createVault(store, {
      cacheFolder,
      ...FEW,
      parameters: { packBytes: 256 * 1024 },
    });
    open.push(vault);
    const disk = new MemoryDisk(60_000_000);
    disk.write(0, seededBytes('first half', 28_000_000));
    // Found again: in runs that were made meanwhile, or in the table.
    disk.write(30_000_000 - (30_000_000 % 4_194_304), seededBytes('first half', 28_000_000));
    const point = await backUp(vault, disk);

    expect((await runFiles()).length).toBeGreaterThan(0);
    expect(point.disks[0]?.statistics.newBytes).toBeLessThan(29_000_000);
    expect((await vault.verify(point.id, 3, { signal })).problems).toEqual([]);
  });

  it.each([
    ['damaged', Buffer.from('nonsense')],
    ['empty', Buffer.alloc(0)],
  ])('is built again when a run is %s', async (_, content) => {
    const { disk } = await filled();
    const vault = await opened();
    await backUp(vault, disk, { vm: OTHER });
    for (const path of (await runFiles()).filter((name) => name.endsWith('.run'))) {
      await writeFile(path, content);
    }
    const next = await opened();
    const point = await backUp(next, disk, { vm: VM });
    expect(point.disks[0]?.statistics.newBytes).toBe(0);
    expect((await runFiles()).length).toBe(2);
  });

  it('stores anew what was condemned or found damaged, also if its footer was in use', async () => {
    const { disk } = await filled();
    const vault = await opened();
    await backUp(vault, disk, { vm: OTHER });
    const { base } = vault.inside;
    const slots = new SlotSet();
    let index = 0;
    for await (const { key } of store.list('d/', signal)) {
      const ulid = parsePackKey(key)?.ulid ?? '';
      slots.add(ulid, index++ % 2 === 0 ? 'all' : [{ first: 1, count: 3 }]);
    }
    const key = numberedKey(PREFIXES.condemned, 1);
    await store.put(key, encodeControl(base.keys, 'condemned', key, slots.encode()), signal);

    const point = await backUp(vault, disk, { vm: { ...OTHER, vmId: 'third' } });
    const { newBytes = 0 } = point.disks[0]?.statistics ?? {};
    expect(newBytes).toBeGreaterThan(2_000_000);
    // The first pack, of 4 MiB, and three chunks of the second, of the largest size.
    expect(newBytes).toBeLessThanOrEqual(4 * 1024 * 1024 + 3 * 32 * 4096);
    for (const { pack, slot } of await usedSlots(vault, point.id)) {
      expect(slots.has(pack, slot)).toBe(false);
    }
  });

  it('does not count packs that are gone', async () => {
    const { disk } = await filled();
    await backUp(await opened(), disk, { vm: OTHER });
    const [gone] = await Array.fromAsync(store.list('d/', signal));
    await store.remove(gone?.key ?? '', signal);
    await rm(cacheFolder, { recursive: true });
    const vault = await opened();
    const point = await backUp(vault, disk, { vm: { ...OTHER, vmId: 'third' } });
    expect(point.disks[0]?.statistics.newBytes).toBeGreaterThan(100_000);
    expect((await vault.verify(point.id, 3, { signal })).problems).toEqual([]);
  });
});

async function usedSlots(vault: Vault, pointId: string): Promise<{ pack: string; slot: number }[]> {
  const { base, nodes, points } = vault.inside;
  const { MapTree } = await import('../maps/map-tree.ts');
  const { mapRoot } = await import('../points/point-maps.ts');
  const point = await vault.point(pointId, signal);
  const { document } = await points.load({ vmId: point.vmId, id: point.id }, signal);
  const used: { pack: string; slot: number }[] = [];
  for (const disk of document.disks) {
    const tree = new MapTree(nodes, mapRoot(disk, base.numbers));
    for await (const { pointer } of tree.leaves(signal)) {
      for (const { pack, slot } of await nodes.fragments(pointer, signal)) {
        used.push({ pack: base.numbers.name(pack).ulid, slot });
      }
    }
  }
  return used;
}
