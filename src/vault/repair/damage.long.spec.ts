import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { isFault } from '../../kernel/fault.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  DISK,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { FORMAT_VERSION } from '../format/format-version.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import {
  changeObject,
  cut,
  flip,
  keysOf,
  remove,
  type Damage,
} from '../../../test/support/vault/vault-damage.ts';

const newer: Damage = (bytes) => {
  const copy = Uint8Array.from(bytes);
  copy[8] = FORMAT_VERSION + 1;
  return copy;
};

/** Makes a vault with one point; the same bytes every time, except keys and names. */
async function setUp() {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(600_000);
  disk.write(0, seededBytes('damage', 500_000));
  const point = await backUp(vault, disk);
  return { store, disk, point };
}

/**
 * Opens the vault again and restores. @returns the code of the fault, or `same` if the disk is
 * whole
 */
async function outcome({ store, disk, point }: Awaited<ReturnType<typeof setUp>>): Promise<string> {
  try {
    const vault = await openVault(store);
    const back = await restored(vault, point, disk.size);
    const same = (await fingerprint(back.reader())) === (await fingerprint(disk.reader()));
    return same ? 'same' : 'WRONG CONTENT';
  } catch (error) {
    if (isFault(error)) {
      return error.code;
    }
    throw error;
  }
}

describe('a damaged vault', () => {
  it.each<[string, string, Damage, string]>([
    ['a data pack is gone', 'd/', remove, 'vault.pack-missing'],
    ['a data pack is cut short', 'd/', cut(-1), 'vault.pack-corrupt'],
    ['a data pack is empty', 'd/', cut(0), 'vault.pack-corrupt'],
    ['a frame prefix is flipped', 'd/', flip(64), 'vault.chunk-corrupt'],
    ['a frame length is flipped', 'd/', flip(68), 'vault.chunk-corrupt'],
    ['a frame checksum is flipped', 'd/', flip(72), 'vault.chunk-corrupt'],
    ['a frame is flipped', 'd/', flip(100), 'vault.chunk-corrupt'],
    ['a footer is flipped', 'd/', flip(-70), 'vault.pack-corrupt'],
    ['a trailer magic is flipped', 'd/', flip(-64), 'vault.pack-corrupt'],
    ['a footer offset is flipped', 'd/', flip(-48), 'vault.pack-corrupt'],
    ['a trailer checksum is flipped', 'd/', flip(-1), 'vault.pack-corrupt'],
    ['a metadata pack is gone', 'm/', remove, 'vault.pack-missing'],
    ['a map node is flipped', 'm/', flip(90), 'vault.chunk-corrupt'],
    ['a metadata footer is flipped', 'm/', flip(-70), 'vault.pack-corrupt'],
    ['a metadata pack is cut short', 'm/', cut(-10), 'vault.pack-corrupt'],
    ['the format is gone', 'fmt/', remove, 'vault.not-found'],
    ['the format is flipped', 'fmt/', flip(60), 'vault.format-corrupt'],
    ['the format is cut short', 'fmt/', cut(20), 'vault.format-corrupt'],
    ['the version of the format is flipped', 'fmt/', newer, 'vault.format-corrupt'],
  ])('gives the right fault and no wrong byte when %s', async (_what, prefix, damage, expected) => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, prefix);
    await changeObject(made.store, key, damage);

    expect(await outcome(made)).toBe(expected);
  });

  it.each<[string, boolean, Damage, string]>([
    [
      'the point is gone, and its seal says that it was there',
      false,
      remove,
      'vault.point-corrupt',
    ],
    ['the point is flipped', false, flip(200), 'vault.point-corrupt'],
    ['the point is cut short', false, cut(30), 'vault.point-corrupt'],
    ['the seal is gone', true, remove, 'vault.point-not-found'],
    ['the seal is flipped', true, flip(50), 'vault.control-corrupt'],
    ['the seal is cut short', true, cut(10), 'vault.control-corrupt'],
    ['the version of the seal is flipped', true, newer, 'vault.control-corrupt'],
  ])('gives the right fault when %s', async (_what, isSeal, damage, expected) => {
    const made = await setUp();
    const keys = await keysOf(made.store, 's/');
    await changeObject(
      made.store,
      keys.find((key) => key.endsWith('.ok') === isSeal) ?? '',
      damage,
    );

    expect(await outcome(made)).toBe(expected);
  });

  it.each<[string, string, Damage]>([
    ['its map is gone', 'm/', remove],
    ['its map is flipped', 'm/', flip(90)],
    ['its map is cut short', 'm/', cut(-10)],
    ['a data pack is gone', 'd/', remove],
    ['a data footer is flipped', 'd/', flip(-70)],
  ])('reads the disk whole, and says why, when %s in the parent', async (_what, prefix, damage) => {
    const { store, disk } = await setUp();
    const [key = ''] = await keysOf(store, prefix);
    await changeObject(store, key, damage);
    const vault = await openVault(store);
    disk.write(8192, seededBytes('later', 4096));
    const extents = [{ offset: 8192, length: 4096, content: 'data' }] as const;

    const point = await backUp(vault, disk, {
      changes: { method: 'changed-extents', extents },
    });

    expect(point.disks[0]).toMatchObject({ method: 'full', reason: 'parent-damaged' });
    const copy = await restored(vault, point, disk.size);
    expect(await fingerprint(copy.reader())).toBe(await fingerprint(disk.reader()));
  });

  it('tells a damaged key object from a wrong passphrase', async () => {
    const made = await setUp();
    const [first = ''] = await keysOf(made.store, 'keys/');
    await changeObject(made.store, first, flip(40));

    expect(await outcome(made)).toBe('vault.key-corrupt');
  });

  it('does not accept a pack or a seal in the place of another', async () => {
    const { store, disk, point } = await setUp();
    const vault = await openVault(store);
    disk.write(0, seededBytes('second', 500_000));
    const second = await backUp(vault, disk);
    const [one = '', other = ''] = (await keysOf(store, 's/')).filter((key) => key.endsWith('.ok'));
    const seal = (await store.get(other, signal)) ?? new Uint8Array();
    await changeObject(store, one, () => seal);
    const packs = await keysOf(store, 'd/');
    const newest = (await store.get(packs.at(-1) ?? '', signal)) ?? new Uint8Array();
    await changeObject(store, packs[0] ?? '', () => newest);

    const fresh = await openVault(store);

    await expect(fresh.point(point.id, signal)).rejects.toMatchObject({
      code: 'vault.control-corrupt',
    });
    expect((await fresh.points(signal)).map(({ id }) => id)).toEqual([second.id]);
    expect((await fresh.verify(second.id, 2, { signal })).ok).toBe(true);
  });

  it('never gives wrong bytes or crashes, whichever byte of whichever object is flipped', async () => {
    const made = await setUp();
    const outcomes = new Set<string>();
    for (const key of await keysOf(made.store, '')) {
      const original = (await made.store.get(key, signal)) ?? new Uint8Array();
      const step = Math.max(1, Math.floor(original.length / 9));
      for (let at = 0; at < original.length; at += step) {
        await changeObject(made.store, key, flip(at));
        outcomes.add(await outcome(made));
        await changeObject(made.store, key, () => original);
      }
    }

    expect(outcomes).not.toContain('WRONG CONTENT');
    expect(outcomes).toContain('vault.chunk-corrupt');
    expect(await outcome(made)).toBe('same');
  });

  it.each<[string, 0 | 1 | 2 | 3, Damage, boolean]>([
    ['a missing pack at level 0', 0, remove, false],
    ['a pack that lost its end at level 0', 0, cut(-1), false],
    ['an empty pack at level 0', 0, cut(0), false],
    ['but no flipped footer at level 0', 0, flip(-70), true],
    ['a flipped footer at level 1', 1, flip(-70), false],
    ['a flipped header at level 1', 1, flip(10), false],
    ['a flipped frame at level 2', 2, flip(200), false],
    ['but no flipped frame at level 1', 1, flip(200), true],
  ])('is found by verify: %s', async (_what, level, damage, ok) => {
    const { store, point } = await setUp();
    const [key = ''] = await keysOf(store, 'd/');
    await changeObject(store, key, damage);
    const vault = await openVault(store);

    const report = await vault.verify(point.id, level, { signal });

    expect(report.ok).toBe(ok);
    expect(report.problems.every(({ diskId }) => diskId === DISK)).toBe(true);
  });

  it('stores damaged content again, which the next backup of it heals', async () => {
    const { store, disk } = await setUp();
    const packs = await keysOf(store, 'd/');
    await changeObject(store, packs[0] ?? '', remove);
    const vault = await openVault(store);

    const next = await backUp(vault, disk, { vm: { vmId: 'other', vmName: 'other' } });

    expect((await vault.verify(next.id, 3, { signal })).ok).toBe(true);
  });
});
