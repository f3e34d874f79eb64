import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { keysOf } from '../../../test/support/vault/vault-damage.ts';
import { MeteredObjectStore } from '../object-stores/metered.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import type { Vault } from '../vault.ts';
import type { CollectOptions, CollectReport } from './collect-options.ts';
import { collectVault } from './collector.ts';
import { CondemnedLists } from './slots/condemned-lists.ts';
import { planPrune } from './plans/prune-plan.ts';

/** Nothing is young, and nothing is merged unless a test wants it. */
const AT_ONCE: CollectOptions = { youngMs: 0, mergeCount: 1000, allPointsAreListed: true };

async function collect(vault: Vault, options: CollectOptions = {}): Promise<CollectReport> {
  return collectVault(vault.inside, { ...AT_ONCE, ...options }, { signal });
}

function diskOf(seed: string, bytes = 300_000): MemoryDisk {
  const disk = new MemoryDisk(400_000);
  disk.write(0, seededBytes(seed, bytes));
  return disk;
}

const OTHER = { vmId: 'other', vmName: 'other' };

async function expectWhole(
  store: ObjectStore,
  point: RecoveryPoint,
  disk: MemoryDisk,
): Promise<void> {
  const vault = await openVault(store);
  const back = await restored(vault, point, disk.size);
  expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
  expect((await vault.verify(point.id, 3, { signal })).problems).toEqual([]);
}

describe('collecting', () => {
  it('removes what only a retired point needed', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const kept = diskOf('kept');
    const first = await backUp(vault, kept);
    const gone = await backUp(vault, diskOf('gone'), { vm: OTHER });
    const before = await keysOf(store, 'd/', 'm/');
    await vault.retire(gone.id, signal);

    const report = await collect(vault);

    expect(report.removedPoints).toEqual([{ vmId: 'other', id: gone.id }]);
    expect(report.removedPacks).toBe(2);
    expect(await keysOf(store, 'd/', 'm/')).toHaveLength(before.length - 2);
    expect(await keysOf(store, 's/other/')).toEqual([]);
    expect(await keysOf(store, 'gc/')).toHaveLength(2);
    await expectWhole(store, first, kept);
  });

  it('does the same in shares, when there is little memory for marking', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const kept = new Map<RecoveryPoint, MemoryDisk>();
    const gone: RecoveryPoint[] = [];
    for (let index = 0; index < 12; index++) {
      const vm = { vmId: `vm-${index}`, vmName: 'some' };
      const disk = diskOf(`disk ${index}`);
      const first = await backUp(vault, disk, { vm });
      disk.write(100_000, seededBytes(`later ${index}`, 50_000));
      kept.set(await backUp(vault, disk, { vm }), disk);
      gone.push(first);
    }
    for (const { id } of gone) {
      await vault.retire(id, signal);
    }
    const options = { ...AT_ONCE, liveShare: 1 };
    const atOnce = await planPrune(vault.inside, [], options, { signal });
    const shared = { ...options, markingBytes: 0 };
    const plan = await planPrune(vault.inside, [], shared, { signal });
    const report = await collect(vault, shared);
    const again = await collect(vault, { liveShare: 1 });

    const { shares, markingBytes } = plan;
    expect(shares).toBeGreaterThan(7);
    expect(plan).toEqual({ ...atOnce, shares, markingBytes });
    expect(report.condemnedLists.length).toBeGreaterThan(1);
    expect(report.removedPacks).toBe(plan.removedPacks);
    expect(report.compactedPacks).toBe(plan.compactedPacks);
    expect(report.compactedPacks).toBeGreaterThan(5);
    expect(report.removedPoints).toHaveLength(gone.length);
    expect(again).toMatchObject({ removedPacks: 0, compactedPacks: 0, condemnedLists: [] });
    for (const [point, disk] of kept) {
      await expectWhole(store, point, disk);
    }
  });

  it('condemns in lists that each machine reads once, or again if its copy is damaged', async () => {
    const inner = new MemoryObjectStore();
    const { vault } = await createVault(inner);
    const disk = diskOf('kept');
    await backUp(vault, disk);
    for (const round of [1, 2]) {
      const gone = await backUp(vault, diskOf(`gone ${round}`), { vm: OTHER });
      await vault.retire(gone.id, signal);
      await collect(vault);
    }
    const cacheFolder = await mkdtemp(join(tmpdir(), 'hyperkeep-lists-'));
    const asked = async (): Promise<number> => {
      const store = new MeteredObjectStore(inner);
      const fresh = await openVault(store, { cacheFolder });
      await backUp(fresh, disk);
      expect(fresh.inside.excluded.condemned.isEmpty).toBe(false);
      await fresh.close();
      return store.byPrefix['gc/']?.gets ?? 0;
    };
    try {
      expect(await asked()).toBe(2);
      expect(await asked()).toBe(0);
      const [folder = ''] = await readdir(cacheFolder);
      const lists = join(cacheFolder, folder, 'lists');
      const [list = ''] = await readdir(lists);
      await writeFile(join(lists, list), seededBytes('damage', 100));
      expect(await asked()).toBe(1);
      expect(await asked()).toBe(0);
    } finally {
      await rm(cacheFolder, { recursive: true });
    }
  });

  it('leaves only control objects when everything was retired', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const disk = diskOf('a');
    for (const seed of ['b', 'c']) {
      const point = await backUp(vault, disk);
      disk.write(8192, seededBytes(seed, 50_000));
      await vault.retire(point.id, signal);
    }

    await collect(vault);

    expect(await keysOf(store, 'd/', 'm/', 's/')).toEqual([]);
    expect(await vault.points(signal)).toEqual([]);
    // A second collection has nothing to do and writes nothing.
    const keys = await keysOf(store, '');
    expect(await collect(vault)).toMatchObject({ removedPacks: 0, condemnedLists: [] });
    expect(await keysOf(store, '')).toEqual(keys);
  });

  it('writes mostly dead packs anew, and the others stay as they are', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store, { parameters: { packBytes: 2 ** 21 } });
    const disk = new MemoryDisk(1_600_000);
    disk.write(0, seededBytes('a', 1_500_000));
    const first = await backUp(vault, disk);
    disk.write(400_000, seededBytes('b', 1_100_000));
    const second = await backUp(vault, disk);
    await vault.retire(first.id, signal);

    const report = await collect(vault);

    expect(report.compactedPacks).toBe(1);
    expect(report.writtenBytes).toBeLessThan(report.removedBytes);
    const generations = (await keysOf(store, 'd/')).map((key) => key.split('.')[1]);
    expect(generations.sort()).toEqual(['0', '1']);
    await expectWhole(store, second, disk);
    // A process that knows the old generation restores too.
    const back = await restored(vault, second, disk.size);
    expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
  });

  it('condemns of packs that are needed in part only what it can write anew, and goes on the next time', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store, { parameters: { packBytes: 2 ** 21 } });
    const kept = new Map<RecoveryPoint, MemoryDisk>();
    for (const [index, changed] of [1_100_000, 1_100_000, 1_100_000, 100_000].entries()) {
      const vm = { vmId: `vm-${index}`, vmName: 'some' };
      const disk = new MemoryDisk(1_600_000);
      disk.write(0, seededBytes(`old ${index}`, 1_500_000));
      const first = await backUp(vault, disk, { vm });
      disk.write(400_000, seededBytes(`new ${index}`, changed));
      kept.set(await backUp(vault, disk, { vm }), disk);
      await vault.retire(first.id, signal);
    }
    const options = { smallPackBytes: 10_000, rewriteBytes: 2_000_000 };
    const condemned = async (): Promise<number> => {
      const lists = new CondemnedLists(vault.inside.base);
      await lists.read(signal);
      return [...lists.slots.packs()].filter((pack) => !lists.slots.hasAll(pack)).length;
    };

    for (const [round, left] of [2_300_000, 1_250_000, 150_000, 150_000].entries()) {
      const report = await collect(vault, options);
      expect(report.compactedPacks).toBe(round < 3 ? 1 : 0);
      expect(await condemned()).toBe(Math.min(3, round + 1));
      // The vault's key decides where chunks end: a chunk more or less at both ends of the change.
      expect(report.deadBytesLeft).toBeGreaterThan(left * 0.4);
      expect(report.deadBytesLeft).toBeLessThan(left * 2);
    }

    for (const [point, disk] of kept) {
      await expectWhole(store, point, disk);
    }
  });

  it('merges small packs; what points name by their old names is found', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const disk = diskOf('a', 20_000);
    const points: { point: RecoveryPoint; disk: MemoryDisk }[] = [];
    for (let i = 0; i < 5; i++) {
      disk.write(i * 30_000, seededBytes(`${i}`, 10_000));
      const copy = new MemoryDisk(disk.size);
      const content = new Uint8Array(disk.size);
      await disk.reader().read(0, content, signal);
      copy.write(0, content);
      points.push({ point: await backUp(vault, disk), disk: copy });
    }

    const report = await collect(vault, { mergeCount: 4, smallPackBytes: 200_000 });

    expect(report.mergedPacks).toBe(10);
    expect(await keysOf(store, 'd/', 'm/')).toHaveLength(2);
    expect(await keysOf(store, 'alias/')).toHaveLength(2);
    for (const { point, disk: content } of points) {
      await expectWhole(store, point, content);
      const back = await restored(vault, point, content.size);
      expect(await fingerprint(back.reader())).toBe(await fingerprint(content.reader()));
    }
    // The next backup builds on them; when everything is retired, nothing is left.
    const last = await backUp(vault, disk);
    expect(last.disks[0]?.statistics.newBytes).toBe(0);
    for (const { point } of [...points, { point: last }]) {
      await vault.retire(point.id, signal);
    }
    await collect(vault);
    expect(await keysOf(store, 'd/', 'm/', 's/')).toEqual([]);
  });
});
