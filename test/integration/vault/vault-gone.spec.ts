import { mkdtemp, mkdtempDisposable, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChangeSet } from '../../../src/disk/change-set.ts';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { revivePoint } from '../../../src/vault/retention/reviving.ts';
import { numberedKey, packKey, parsePackKey } from '../../../src/vault/format/object-names.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { DirectoryObjectStore } from '../../../src/vault/object-stores/folder/directory.ts';
import { MemoryObjectStore } from '../../support/vault/memory-object-store.ts';
import { Packs } from '../../../src/vault/packs/packs.ts';
import { PackPresence } from '../../../src/vault/presence/pack-presence.ts';
import { newUlid } from '../../../src/vault/bytes/ulid.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { FaultyObjectStore } from '../../support/vault/faulty-object-store.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { seededNumbers } from '../../support/random/seeded-numbers.ts';
import { backUp, createVault, openVault, signal, VM } from '../../support/vault/vault-lab.ts';
import { keysOf } from '../../support/vault/vault-damage.ts';

const DAY_MS = 86_400_000;
const LEAF_BYTES = 64 * 1024 * 1024;
const NOTHING: ChangeSet = { method: 'changed-extents', extents: [] };
const changed = (offset: number, length: number): ChangeSet => ({
  method: 'changed-extents',
  extents: [{ offset, length, content: 'data' }],
});

class MovedClock extends SystemClock {
  movedMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.movedMs;
  }
}

/** Three leaves with packs of their own. */
function threeLeaves(): MemoryDisk {
  const disk = new MemoryDisk(3 * LEAF_BYTES);
  for (const leaf of [0, 1, 2]) {
    disk.write(leaf * LEAF_BYTES, seededBytes(`leaf ${leaf}`, 300_000));
  }
  return disk;
}

async function removeAll(store: ObjectStore, keys: readonly string[]): Promise<void> {
  for (const key of keys) {
    await store.remove(key, signal);
  }
}

/** Adds more packs than are listed each time; no point needs them. */
async function crowd(store: ObjectStore, packs = 8001): Promise<void> {
  for (const kind of ['data', 'metadata'] as const) {
    for (let count = 0; count < packs; count++) {
      const rand = count.toString(16).padStart(32, '0');
      const name = { kind, ulid: newUlid(1_000_000_000_000), generation: 0, rand };
      await store.put(packKey(name), Buffer.from('x'), signal);
    }
  }
}

async function expectWhole(store: ObjectStore, pointId: string): Promise<void> {
  const fresh = await openVault(store);
  expect(await fresh.verify(pointId, 3, { signal })).toMatchObject({ ok: true });
  await fresh.close();
}

describe('a vault in a folder that goes away while it is open', () => {
  let folder: string;
  let place: string;
  let vault: Vault;
  let disk: MemoryDisk;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hk-gone-'));
    place = join(folder, 'vault');
    ({ vault } = await createVault(new DirectoryObjectStore(place)));
    disk = threeLeaves();
    await backUp(vault, disk);
  });
  afterEach(async () => {
    await vault.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('takes no point, makes no folder, and goes on when it is back', async () => {
    await rename(place, join(folder, 'away'));

    await expect(backUp(vault, disk)).rejects.toMatchObject({ code: 'vault.not-found' });

    expect(vault.isOutdated).toBe(true);
    expect(await readdir(folder)).toEqual(['away']);
    await rename(join(folder, 'away'), place);
    const point = await backUp(vault, disk, { changes: NOTHING });
    expect(point.disks[0]).toMatchObject({ method: 'changed-extents' });
  });

  it('seals no point when it went away in the middle', async () => {
    const failed = backUp(vault, disk, {
      beforeCommit: async () => rename(place, join(folder, 'away')),
    });

    const code = expect.stringMatching(/^(vault\.not-found|store\.unreachable)$/) as string;
    await expect(failed).rejects.toMatchObject({ code });
    const there = new DirectoryObjectStore(join(folder, 'away'));
    expect((await keysOf(there, 's/')).filter((key) => key.endsWith('.ok'))).toHaveLength(1);
    const here = await keysOf(new DirectoryObjectStore(place), 's/');
    expect(here.filter((key) => key.endsWith('.ok'))).toEqual([]);
  });

  it('takes no point into another vault that lies there now', async () => {
    const other = await createVault(new DirectoryObjectStore(join(folder, 'other')));
    await other.vault.close();
    await rename(place, join(folder, 'away'));
    await rename(join(folder, 'other'), place);

    await expect(backUp(vault, disk)).rejects.toMatchObject({ code: 'vault.not-found' });

    expect(await keysOf(new DirectoryObjectStore(place), 's/')).toEqual([]);
  });
});

describe('what was learned at the opening', () => {
  it('seals no point in a bucket that was emptied during the backup', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);

    const failed = backUp(vault, threeLeaves(), {
      beforeCommit: async () => removeAll(store, await keysOf(store, 'fmt/')),
    });

    await expect(failed).rejects.toMatchObject({ code: 'vault.not-found' });
    expect(vault.isOutdated).toBe(true);
    expect((await keysOf(store, 's/')).filter((key) => key.endsWith('.ok'))).toEqual([]);
  });

  it('is not written with when somebody else changed the format since then', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const [format = ''] = await keysOf(store, 'fmt/');
    const object = await store.get(format, signal);
    await store.put(numberedKey('fmt/', 2), object ?? new Uint8Array(), signal);

    await expect(backUp(vault, threeLeaves())).rejects.toMatchObject({
      code: 'vault.format-changed',
    });

    expect(vault.isOutdated).toBe(true);
    expect(await keysOf(store, 'd/')).toEqual([]);
  });

  it('seals what was written when the format changed during the backup', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const [format = ''] = await keysOf(store, 'fmt/');
    const object = (await store.get(format, signal)) ?? new Uint8Array();

    const point = await backUp(vault, threeLeaves(), {
      beforeCommit: async () => {
        await store.put(numberedKey('fmt/', 2), object, signal);
        await store.remove(format, signal);
      },
    });

    expect(point.vmId).toBe(VM.vmId);
  });
});

describe.each(['small', 'large'])('packs that are gone from a %s vault', (size) => {
  let store: MemoryObjectStore;
  let vault: Vault;
  let disk: MemoryDisk;
  beforeEach(async () => {
    store = new MemoryObjectStore();
    ({ vault } = await createVault(store));
    disk = threeLeaves();
  });
  afterEach(async () => vault.close());

  async function first(): Promise<string[]> {
    await backUp(vault, disk);
    const packs = await keysOf(store, 'd/');
    if (size === 'large') {
      await crowd(store);
    }
    return packs;
  }

  it('all of them: a powered-off VM of which nothing changed is read whole', async () => {
    await removeAll(store, await first());

    const point = await backUp(vault, disk, { changes: NOTHING });

    expect(point.disks[0]).toMatchObject({ method: 'full', reason: 'parent-damaged' });
    expect(point.notes.join()).toContain('packs of the vault are missing');
    await expectWhole(store, point.id);
  });

  it('all of them: a full read stores everything again', async () => {
    await removeAll(store, await first());

    const point = await backUp(vault, disk);

    expect(point.disks[0]?.statistics.newBytes).toBeGreaterThan(900_000);
    await expectWhole(store, point.id);
  });

  it('one in a leaf that changed', async () => {
    const [pack = ''] = await first();
    await store.remove(pack, signal);
    disk.write(5000, seededBytes('change', 4096));

    const point = await backUp(vault, disk, { changes: changed(4096, 8192) });

    expect(point.disks[0]).toMatchObject({ reason: 'parent-damaged' });
    await expectWhole(store, point.id);
  });

  it('one that another VM would have shared', async () => {
    const packs = await first();
    await store.remove(packs.at(-1) ?? '', signal);

    const vm = { vmId: 'other', vmName: 'other' };
    const point = await backUp(vault, disk, { vm });

    await expectWhole(store, point.id);
  });

  it('the map of a VM of which nothing changed', async () => {
    await first();
    await removeAll(store, await keysOf(store, 'm/'));

    const point = await backUp(vault, disk, { changes: NOTHING });

    expect(point.disks[0]).toMatchObject({ method: 'full', reason: 'parent-damaged' });
    await expectWhole(store, point.id);
  });

  it('none: nothing is read again', async () => {
    await first();

    const point = await backUp(vault, disk, { changes: NOTHING });

    expect(point.disks[0]).toMatchObject({ method: 'changed-extents' });
    expect(point.notes).toEqual([]);
  });
});

describe('packs that are gone', () => {
  it.each(Array.from({ length: 6 }, (_, seed) => seed))(
    'leave every point that is sealed whole, whichever they are (seed %i)',
    async (seed) => {
      const chance = seededNumbers(seed);
      const store = new MemoryObjectStore();
      const { vault } = await createVault(store);
      const disk = threeLeaves();
      for (let round = 0; round < 3; round++) {
        const offset = chance(3) * LEAF_BYTES + chance(60) * 4096;
        disk.write(offset, seededBytes(`${seed} ${round}`, 4096));
        const changes =
          round === 0 ? undefined : chance(4) === 0 ? undefined : changed(offset, 4096);
        const point = await backUp(vault, disk, changes === undefined ? {} : { changes });
        await expectWhole(store, point.id);
        const packs = await keysOf(store, 'd/');
        await removeAll(
          store,
          packs.filter(() => chance(3) === 0),
        );
      }
      await vault.close();
    },
  );

  it.each([
    ['a vault of eight LISTs, by the next backup', 7000, 0],
    ['a larger vault, by a backup of the day after', 8001, DAY_MS],
  ])('are noticed whoever needs them in %s', async (_which, packs, laterMs) => {
    const store = new MemoryObjectStore();
    const clock = new MovedClock();
    const { vault } = await createVault(store);
    await crowd(store, packs);
    const { base } = vault.inside;
    const keys = await keysOf(store, 'd/');
    const others = keys.flatMap((key) => {
      const name = parsePackKey(key);
      return name === undefined ? [] : [base.numbers.of(name)];
    });
    const presence = new PackPresence(new Packs(base), clock);
    const asked = { kind: 'data', needed: new Set<number>(), others } as const;
    expect(await presence.missing(asked, signal)).toEqual(new Set());
    // A sample of them would hardly meet it.
    await store.remove(keys[3000] ?? '', signal);

    clock.movedMs = laterMs;

    expect(await presence.missing(asked, signal)).toEqual(new Set([others[3000]]));
    await vault.close();
  });

  it('cost requests that do not follow the size of the vault', async () => {
    const store = new FaultyObjectStore(new MemoryObjectStore());
    const { vault } = await createVault(store);
    const disk = threeLeaves();
    await backUp(vault, disk);
    await crowd(store);
    await backUp(vault, disk, { changes: NOTHING });
    disk.write(0, seededBytes('new', 4096));
    const requests: string[] = [];
    store.follow(({ kind, key }) => {
      requests.push(`${kind} ${key.slice(0, 2)}`);
      return undefined;
    });

    await backUp(vault, disk, { changes: changed(0, 4096) });

    expect(requests.filter((request) => request === 'list d/').length).toBeLessThan(12);
    expect(requests.filter((request) => request === 'list m/').length).toBeLessThan(6);
    await vault.close();
  });

  it('are not looked for by a machine that may not list', async () => {
    const store = new FaultyObjectStore(new MemoryObjectStore());
    const { vault } = await createVault(store);
    const disk = threeLeaves();
    await backUp(vault, disk);
    store.follow(({ kind, key }) => (kind === 'list' && key === 'd/' ? 'denied' : undefined));

    const point = await backUp(vault, disk, { changes: NOTHING });

    expect(point.disks[0]).toMatchObject({ method: 'changed-extents' });
    await vault.close();
  });

  it('keep a point from coming back, whatever the cache says', async () => {
    const store = new MemoryObjectStore();
    await using cache = await mkdtempDisposable(join(tmpdir(), 'hk-gone-'));
    const { vault } = await createVault(store, { cacheFolder: cache.path });
    const point = await backUp(vault, threeLeaves());
    await vault.retire(point.id, signal);
    const [pack = ''] = await keysOf(store, 'd/');
    await store.remove(pack, signal);

    await expect(revivePoint(vault.inside, point, {}, { signal })).rejects.toMatchObject({
      code: 'vault.point-condemned',
    });

    expect(await vault.points(signal)).toEqual([]);
    await vault.close();
  });
});
