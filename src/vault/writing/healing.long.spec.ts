import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { changeObject, flip, keysOf, remove } from '../../../test/support/vault/vault-damage.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { repairVault } from '../repair/repair.ts';
import { MemoryProofLedger } from '../checks/proof-ledger.ts';
import { scrub } from '../checks/scrub.ts';

const MIB = 1024 * 1024;

async function setUp() {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(3 * MIB);
  disk.write(0, seededBytes('healing', 2_400_000));
  const point = await backUp(vault, disk);
  const hash = await fingerprint(disk.reader());
  return { store, vault, disk, point, hash };
}

type Made = Awaited<ReturnType<typeof setUp>>;

async function scrubAll({ store }: Made) {
  const { inside } = await openVault(store);
  return scrub(
    inside,
    { ledger: new MemoryProofLedger(), budget: { bytes: Infinity } },
    { signal },
  );
}

async function damageFrame(made: Made, offset = -100_000): Promise<void> {
  const [key = ''] = await keysOf(made.store, 'd/');
  await changeObject(made.store, key, flip(offset));
  expect((await scrubAll(made)).list).toBeDefined();
  expect(await isWhole(made, made.point)).toBe(false);
}

async function isWhole({ store }: Made, point: { id: string }): Promise<boolean> {
  return (await (await openVault(store)).verify(point.id, 3, { signal })).ok;
}

describe('the next backup heals damage', () => {
  it('of a frame, when it reads the same content whole, for points made before', async () => {
    const made = await setUp();
    await damageFrame(made);
    const vault = await openVault(made.store);

    const next = await backUp(vault, made.disk);

    expect(await keysOf(made.store, 'alias/')).toHaveLength(1);
    expect(await isWhole(made, next)).toBe(true);
    expect(await isWhole(made, made.point)).toBe(true);
    const back = await restored(await openVault(made.store), made.point, made.disk.size);
    expect(await fingerprint(back.reader())).toBe(made.hash);
  });

  it('so that a repair has nothing to say of it', async () => {
    const made = await setUp();
    await damageFrame(made);
    const [key = ''] = await keysOf(made.store, 'd/');
    const repairOf = async () => {
      const { inside } = await openVault(made.store);
      return (await repairVault(inside, { dryRun: true, suspects: [key] }, { signal })).packs;
    };
    expect(await repairOf()).toMatchObject([{ outcome: 'lost' }]);

    await backUp(await openVault(made.store), made.disk);

    expect(await repairOf()).toMatchObject([{ outcome: 'whole', lostSlots: 0 }]);
  });

  it('of a pack that was repaired before, whose first generation still says nothing', async () => {
    const made = await setUp();
    const [first = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, first, flip(-20));
    const { damaged } = await scrubAll(made);
    const suspects = damaged.map(({ key }) => key);
    const { inside } = await openVault(made.store);
    const { packs } = await repairVault(inside, { dryRun: false, suspects }, { signal });
    expect(packs).toMatchObject([{ outcome: 'rewritten', lostSlots: 0 }]);
    await changeObject(made.store, packs[0]?.key ?? '', flip(-100_000));
    expect((await scrubAll(made)).list).toBeDefined();
    expect(await isWhole(made, made.point)).toBe(false);

    await backUp(await openVault(made.store), made.disk);

    expect(await isWhole(made, made.point)).toBe(true);
  });

  it('also where a stranger took the highest number that a name can have', async () => {
    const made = await setUp();
    await damageFrame(made);
    const strange = `alias/999999999999-${'0'.repeat(32)}`;
    await made.store.put(strange, Buffer.from('no alias'), signal);

    await backUp(await openVault(made.store), made.disk);

    expect(await isWhole(made, made.point)).toBe(true);
  });

  // W0.e.
  it('of slots that an incremental would inherit, by reading them again', async () => {
    const made = await setUp();
    await damageFrame(made);
    const vault = await openVault(made.store);
    const change = { offset: 4096, length: 4096, content: 'data' } as const;
    made.disk.write(change.offset, seededBytes('change', change.length));

    const next = await backUp(vault, made.disk, {
      changes: { method: 'changed-extents', extents: [change] },
    });

    expect(next.disks[0]?.method).toBe('changed-extents');
    expect(next.disks[0]?.statistics.readBytes).toBeLessThan(MIB);
    expect(await isWhole(made, next)).toBe(true);
    expect(await isWhole(made, made.point)).toBe(true);
    const back = await restored(await openVault(made.store), made.point, made.disk.size);
    expect(await fingerprint(back.reader())).toBe(made.hash);
  });

  it('once: the backup after that reads and stores nothing of it again', async () => {
    const made = await setUp();
    await damageFrame(made);
    const vault = await openVault(made.store);
    const changes = { method: 'changed-extents', extents: [] } as const;
    await backUp(vault, made.disk, { changes });

    const third = await backUp(await openVault(made.store), made.disk, { changes });
    const full = await backUp(await openVault(made.store), made.disk);

    expect(third.disks[0]?.statistics).toMatchObject({ readBytes: 0, newBytes: 0 });
    expect(full.disks[0]?.statistics.newBytes).toBe(0);
    expect(await keysOf(made.store, 'alias/')).toHaveLength(1);
  });

  // W1.b.
  it('in this order: packs, the alias, the point', async () => {
    const made = await setUp();
    await damageFrame(made);
    const puts: string[] = [];
    const { store } = made;
    const put = store.put.bind(store);
    store.put = async (key, ...rest) => {
      puts.push(key.slice(0, key.indexOf('/')));
      await put(key, ...rest);
    };

    await backUp(await openVault(store), made.disk);

    expect(puts).toEqual(['d', 'm', 'alias', 's', 's']);
  });

  it('when another VM has the content', async () => {
    const made = await setUp();
    await damageFrame(made);

    await backUp(await openVault(made.store), made.disk, {
      vm: { vmId: 'other', vmName: 'other' },
    });

    expect(await isWhole(made, made.point)).toBe(true);
  });

  // W0.d.
  it('only as far as the content still exists; what is lost stays flagged', async () => {
    const made = await setUp();
    await damageFrame(made);
    made.disk.write(0, seededBytes('all new', 2_400_000));

    const next = await backUp(await openVault(made.store), made.disk);

    expect(await isWhole(made, next)).toBe(true);
    expect(await isWhole(made, made.point)).toBe(false);
    expect(await keysOf(made.store, 'alias/')).toEqual([]);
  });

  it('also while the same process goes on, with what it has in memory', async () => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, key, flip(-100_000));
    await scrubAll(made);

    const next = await backUp(made.vault, made.disk, {
      changes: { method: 'changed-extents', extents: [] },
    });

    expect(await isWhole(made, next)).toBe(true);
    expect(await isWhole(made, made.point)).toBe(true);
  });

  // W0.e.
  it('of the map: a leaf in memory that is damaged in the vault is not pointed to again', async () => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'm/');
    await changeObject(made.store, key, flip(90));
    await scrubAll(made);

    const next = await backUp(made.vault, made.disk);

    expect(await isWhole(made, next)).toBe(true);
  });

  it('of a pack that is gone, when nothing remembers its ids: the new point is whole', async () => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, key, remove);

    const next = await backUp(await openVault(made.store), made.disk, {
      changes: {
        method: 'changed-extents',
        extents: [{ offset: 0, length: 4096, content: 'data' }],
      },
    });

    expect(next.disks[0]?.reason).toBe('parent-damaged');
    expect(await isWhole(made, next)).toBe(true);
  });
});
