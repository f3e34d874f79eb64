import { FaultyObjectStore } from '../../../test/support/vault/faulty-object-store.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  FULL,
  openVault,
  restored,
  fingerprint,
  signal,
  VM,
} from '../../../test/support/vault/vault-lab.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { encodeControl } from '../control/control-object.ts';
import { KeyTree } from '../keys/key-tree.ts';
import { numberedKey, parsePackKey } from '../format/object-names.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { encodeSigned } from '../control/signed-object.ts';
import { SlotSet } from '../slots/slot-set.ts';
import type { Vault } from '../vault.ts';

function diskOf(seed: string): MemoryDisk {
  const disk = new MemoryDisk(400_000);
  disk.write(0, seededBytes(seed, 300_000));
  return disk;
}

async function packsOf(store: ObjectStore): Promise<string[]> {
  const entries = await Array.fromAsync(store.list('d/', signal));
  return entries.map(({ key }) => parsePackKey(key)?.ulid ?? '');
}

/** Condemns packs, as a collector does in G1. */
async function condemn(
  store: ObjectStore,
  vault: Vault,
  packs: readonly string[],
  kind: 'condemned' | 'bad' = 'condemned',
): Promise<void> {
  const set = new SlotSet();
  for (const pack of packs) {
    set.add(pack, [{ first: 0, count: 1000 }]);
  }
  const keys = new KeyTree(vault.exportKey(), Buffer.from(vault.id, 'hex'));
  const key = numberedKey(kind === 'bad' ? 'bad/' : 'gc/', 1);
  await store.put(key, encodeControl(keys, kind, key, set.encode()), signal);
}

describe('committing a recovery point', () => {
  it('takes few requests when little changed', async () => {
    const store = new FaultyObjectStore(new MemoryObjectStore());
    const { vault } = await createVault(store);
    const disk = new MemoryDisk(2 ** 37);
    disk.write(2 ** 36, seededBytes('few', 300_000));
    await backUp(vault, disk);
    disk.write(2 ** 36, seededBytes('new', 5000));
    const extents = [{ offset: 2 ** 36, length: 5000, content: 'data' }] as const;
    const requests: string[] = [];
    store.follow(({ kind }) => {
      requests.push(kind);
      return undefined;
    });

    const point = await backUp(vault, disk, { changes: { method: 'changed-extents', extents } });

    expect(requests.filter((kind) => kind === 'put')).toHaveLength(4);
    // fmt/, gc/, bad/, s/ of the VM; m/ and d/ once, because that proves all packs; gc/ again.
    expect(requests.filter((kind) => kind === 'list')).toHaveLength(7);
    expect(requests.length).toBeLessThanOrEqual(16);
    expect(point.disks[0]?.statistics.readBytes).toBe(8192);
  });

  // W0.b.
  it('stores again what a collector condemned before W0, for ever', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const point = await backUp(vault, diskOf('a'));
    await vault.retire(point.id, signal);
    await condemn(store, vault, await packsOf(store));

    const next = await backUp(vault, diskOf('a'));

    expect(next.disks[0]?.statistics.newBytes).toBeGreaterThanOrEqual(300_000);
    expect(next.notes).toEqual([]);
  });

  // W2.b, W2.d.
  it('stores again what a collector condemned between W0 and W2', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    await backUp(vault, diskOf('a'));
    const before = await packsOf(store);

    const next = await backUp(vault, diskOf('a'), {
      vm: { vmId: 'other', vmName: 'other' },
      beforeCommit: async () => condemn(store, vault, before),
    });

    for (const key of (await Array.fromAsync(store.list('d/', signal))).map((entry) => entry.key)) {
      if (before.includes(parsePackKey(key)?.ulid ?? '')) {
        await store.remove(key, signal);
      }
    }
    const fresh = await openVault(store);
    expect((await fresh.verify(next.id, 3, { signal })).ok).toBe(true);
    const retired = await Array.fromAsync(store.list('retire/other/', signal));
    expect(retired).toHaveLength(1);
  });

  // W2.c.
  it('reads the disk whole when the parent was retired and what it inherited is condemned', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const disk = diskOf('a');
    const first = await backUp(vault, disk);
    const before = await packsOf(store);
    disk.write(0, seededBytes('b', 5000));
    const extents = [{ offset: 0, length: 5000, content: 'data' }] as const;

    const next = await backUp(vault, disk, {
      changes: { method: 'changed-extents', extents },
      beforeCommit: async () => {
        await vault.retire(first.id, signal);
        await condemn(store, vault, before);
      },
    });

    expect(next.parentId).toBeUndefined();
    expect(next.notes).toHaveLength(1);
    expect(next.disks[0]).toMatchObject({ method: 'full', reason: 'first-backup' });
    for (const { key } of await Array.fromAsync(store.list('d/', signal))) {
      if (before.includes(parsePackKey(key)?.ulid ?? '')) {
        await store.remove(key, signal);
      }
    }
    const back = await restored(await openVault(store), next, disk.size);
    expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
  });

  // W2.c.
  it('keeps what it inherited when the parent stands, also if it was condemned and spared', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const disk = diskOf('a');
    const first = await backUp(vault, disk);
    await condemn(store, vault, await packsOf(store));
    disk.write(0, seededBytes('b', 5000));
    const extents = [{ offset: 0, length: 5000, content: 'data' }] as const;

    const next = await backUp(vault, disk, { changes: { method: 'changed-extents', extents } });

    expect(next.parentId).toBe(first.id);
    expect(next.disks[0]?.statistics.newBytes).toBe(8192);
  });

  // W2.d.
  it('gives up after three conflicts', async () => {
    const inner = new MemoryObjectStore();
    const store = new FaultyObjectStore(inner);
    const { vault } = await createVault(store);
    // A collector that condemns everything just before each W2.
    const racing = vault;
    const put = store.put.bind(store);
    store.put = async (key, bytes, ...rest) => {
      await put(key, bytes, ...rest);
      if (key.startsWith('s/')) {
        await condemn(inner, racing, await packsOf(inner));
      }
    };

    await expect(backUp(vault, diskOf('a'))).rejects.toMatchObject({ code: 'vault.conflict' });

    expect(await vault.points(signal)).toEqual([]);
    expect(await Array.fromAsync(inner.list('retire/', signal))).toHaveLength(3);
  });

  // W0.b.
  it('does not deduplicate against damaged slots', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    await backUp(vault, diskOf('a'));
    await condemn(store, vault, await packsOf(store), 'bad');

    const next = await backUp(vault, diskOf('a'));

    expect(next.disks[0]?.statistics.newBytes).toBeGreaterThanOrEqual(300_000);
  });

  it('stops when a list of condemned slots is damaged, and ignores a damaged retire object', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const point = await backUp(vault, diskOf('a'));
    await store.put(`retire/${VM.vmId}/${point.id}`, Buffer.from('nonsense'), signal);
    expect(await vault.points(signal)).toHaveLength(1);
    await store.put(numberedKey('gc/', 1), Buffer.from('nonsense'), signal);

    await expect(backUp(vault, diskOf('a'))).rejects.toMatchObject({
      code: 'vault.control-corrupt',
    });
  });

  // W3.b, W3.c.
  it('does not report success when the point was retired while it was sealed', async () => {
    const inner = new MemoryObjectStore();
    const store = new FaultyObjectStore(inner);
    const { vault } = await createVault(store);
    const keys = new KeyTree(vault.exportKey(), Buffer.from(vault.id, 'hex'));
    const put = store.put.bind(store);
    store.put = async (key, bytes, ...rest) => {
      await put(key, bytes, ...rest);
      if (key.endsWith('.ok')) {
        const retire = key.replace(/^s\//, 'retire/').replace('.ok', '');
        const body = Buffer.from(JSON.stringify({ point: retire.split('/')[2], atMs: 1 }));
        await put(retire, encodeSigned(keys, 'retire', retire, body), signal);
      }
    };

    await expect(backUp(vault, diskOf('a'))).rejects.toMatchObject({ code: 'vault.point-retired' });

    expect(await vault.points(signal)).toEqual([]);
  });

  // W3.b, W3.c.
  it('does not report success when somebody asked to retire the point before it was sealed', async () => {
    const store = new FaultyObjectStore(new MemoryObjectStore());
    const { vault } = await createVault(store);
    const { points } = vault.inside;
    const put = store.put.bind(store);
    store.put = async (key, bytes, ...rest) => {
      if (key.endsWith('.ok')) {
        const [, vmId = '', id = ''] = key.replace('.ok', '').split('/');
        await points.ask({ vmId, id }, 1, signal);
      }
      await put(key, bytes, ...rest);
    };

    await expect(backUp(vault, diskOf('a'))).rejects.toMatchObject({ code: 'vault.point-retired' });

    // Nobody retires a sealed point.
    expect(await points.answerRequests(1, signal)).toEqual([]);
  });

  // W3.e.
  it('does not use a point without a seal as parent', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const first = await backUp(vault, diskOf('a'));
    await store.remove(`s/${VM.vmId}/${first.id}.ok`, signal);

    const next = await backUp(await openVault(store), diskOf('a'), { changes: FULL });

    expect(next.parentId).toBeUndefined();
  });
});
