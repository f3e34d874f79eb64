import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { changeObject, flip, keysOf, remove } from '../../../test/support/vault/vault-damage.ts';
import {
  backUp,
  createVault,
  DISK,
  openVault,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { Losses } from '../damage/losses.ts';
import { surveyLoss } from './loss-survey.ts';

const SIZE = 2_500_000;

async function setUp() {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(SIZE);
  disk.write(0, seededBytes('loss', SIZE));
  const point = await backUp(vault, disk);
  return { store, disk, point };
}

type Made = Awaited<ReturnType<typeof setUp>>;

/**
 * Restores and compares: returns which bytes are as before, and whether all others are zero and
 * reported.
 */
async function restoreLossy({ store, disk, point }: Made) {
  const vault = await openVault(store);
  const back = new MemoryDisk(SIZE);
  const losses = new Losses();
  await vault.restoreDisk({ pointId: point.id, diskId: DISK }, back.writer(), { signal, losses });
  const [was, is] = [new Uint8Array(SIZE), new Uint8Array(SIZE)];
  disk.read(0, was);
  back.read(0, is);
  for (const { offset, length } of losses.ranges) {
    expect(is.subarray(offset, offset + length).every((byte) => byte === 0)).toBe(true);
    was.fill(0, offset, offset + length);
  }
  expect(Buffer.from(is).equals(was)).toBe(true);
  const survey = await surveyLoss(vault.inside, point, signal);
  return { losses, survey };
}

describe('a restore that accepts losses', () => {
  it('loses nothing of a whole point', async () => {
    const { losses, survey } = await restoreLossy(await setUp());

    expect(losses.isEmpty).toBe(true);
    expect(survey).toEqual([]);
  });

  it('fills exactly what a damaged frame held with zeroes, says where, and writes the rest', async () => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, key, flip(-100_000));

    const { losses, survey } = await restoreLossy(made);

    expect(losses.bytes).toBeGreaterThan(0);
    expect(losses.bytes).toBeLessThan(SIZE / 2);
    expect(survey).toEqual([
      { diskId: DISK, name: 'system', bytes: losses.bytes, ranges: losses.ranges },
    ]);
  });

  it.each([
    ['all packs', 'd/'],
    ['the map', 'm/'],
  ])('says that everything is lost when %s are gone', async (_what, prefix) => {
    const made = await setUp();
    for (const key of await keysOf(made.store, prefix)) {
      await changeObject(made.store, key, remove);
    }

    const { losses, survey } = await restoreLossy(made);

    expect(losses.ranges).toEqual([{ offset: 0, length: SIZE }]);
    expect(survey[0]?.bytes).toBe(SIZE);
  });

  it('is asked for: without it the first damage ends a restore', async () => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, key, flip(-100_000));
    const vault = await openVault(made.store);
    const target = { pointId: made.point.id, diskId: DISK };

    const restore = vault.restoreDisk(target, new MemoryDisk(SIZE).writer(), { signal });

    await expect(restore).rejects.toMatchObject({ code: 'vault.chunk-corrupt' });
    expect(await surveyLoss(vault.inside, made.point, signal)).toHaveLength(1);
  });
});
