import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { collectVault } from '../collect/collector.ts';
import { sealKey } from '../format/object-names.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import type { PointName } from './retirements.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { backUp, createVault, openVault, signal } from '../../../test/support/vault/vault-lab.ts';

/** Every point without a seal is old enough to be given up. */
const RULES = { youngMs: -60_000, abandonedMs: -60_000, allPointsAreListed: true };

async function threePoints() {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(400_000);
  const points: PointName[] = [];
  for (const round of ['one', 'two', 'three']) {
    disk.write(0, seededBytes(round, 200_000));
    points.push(await backUp(vault, disk));
  }
  await vault.close();
  return { store, points };
}

/** Removes the seal, collects, and puts it back. */
async function collectWithout(
  store: MemoryObjectStore,
  { vmId, id }: PointName,
  knownPoints: readonly PointName[],
): Promise<{ readonly givenUp: readonly string[]; readonly isWhole: boolean }> {
  const key = sealKey(vmId, id);
  const seal = (await store.get(key, signal)) ?? new Uint8Array();
  await store.remove(key, signal);
  const vault = await openVault(store);
  const report = await collectVault(vault.inside, { ...RULES, knownPoints }, { signal });
  await vault.close();
  await store.put(key, seal, signal);
  const again = await openVault(store);
  const ids = (await again.points(signal)).map((point) => point.id);
  const isWhole = ids.includes(id) && (await again.verify(id, 3, { signal })).ok;
  await again.close();
  return { givenUp: report.givenUpPoints.map((point) => point.id), isWhole };
}

describe('a point whose seal was removed from the store', () => {
  it('is not given up for one that was never sealed when a child names it', async () => {
    const { store, points } = await threePoints();
    const [, middle = { vmId: '', id: '' }] = points;

    expect(await collectWithout(store, middle, [])).toEqual({ givenUp: [], isWhole: true });
  });

  it('is not given up when the catalog knows it', async () => {
    const { store, points } = await threePoints();
    const [, , last = { vmId: '', id: '' }] = points;

    expect(await collectWithout(store, last, points)).toEqual({ givenUp: [], isWhole: true });
  });

  it('is given up when nothing tells that it was sealed', async () => {
    const { store, points } = await threePoints();
    const [, , last = { vmId: '', id: '' }] = points;

    expect(await collectWithout(store, last, [])).toEqual({ givenUp: [last.id], isWhole: false });
  });
});
