import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { collectVault } from '../collect/collector.ts';
import { packKey, randomSuffix } from '../format/object-names.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { newUlid } from '../bytes/ulid.ts';
import { CopyPruning } from './copy-prune.ts';
import { VaultCopy } from './vault-copy.ts';

const clock = new SystemClock();
const SIZE = 2_000_000;
const running = { signal };

async function keys(store: MemoryObjectStore, prefix: string): Promise<string[]> {
  return (await Array.fromAsync(store.list(prefix, signal))).map(({ key }) => key);
}

describe('CopyPruning', () => {
  /** Makes a vault whose oldest points were given up and collected, and a copy from before that. */
  const collected = async () => {
    const source = new MemoryObjectStore();
    const { vault } = await createVault(source);
    const disk = new MemoryDisk(SIZE);
    const points: { id: string; is: string }[] = [];
    for (let round = 0; round < 4; round++) {
      disk.write(round * 150_000, seededBytes(`round ${round}`, 900_000));
      const { id } = await backUp(vault, disk);
      points.push({ id, is: await fingerprint(disk.reader()) });
    }
    const target = new MemoryObjectStore();
    await new VaultCopy({ source, target, clock }).run(running);
    for (const { id } of points.slice(0, 2)) {
      await vault.retire(id, signal);
    }
    await collectVault(vault.inside, { youngMs: -60_000, allPointsAreListed: true }, running);
    return { source, target, disk, left: points.slice(2) };
  };

  const prune = async (source: MemoryObjectStore, target: MemoryObjectStore) => {
    const vault = await openVault(target);
    const pruning = new CopyPruning(source, vault.inside, running);
    const plan = await pruning.plan();
    await pruning.run(plan);
    return plan;
  };

  const expectWhole = async (store: MemoryObjectStore, points: { id: string; is: string }[]) => {
    const vault = await openVault(store);
    expect((await vault.points(signal)).map(({ id }) => id)).toEqual(points.map(({ id }) => id));
    for (const { id, is } of points) {
      const back = await restored(vault, { id }, SIZE);
      expect(await fingerprint(back.reader())).toBe(is);
      expect((await vault.verify(id, 3, { signal })).problems).toEqual([]);
    }
  };

  it('makes the copy as small as the source, and keeps its points whole', async () => {
    const { source, target, left } = await collected();
    await new VaultCopy({ source, target, clock }).run(running);
    const before = await keys(target, '');
    const plan = await prune(source, target);

    expect(plan.packs.length).toBeGreaterThan(0);
    expect(plan.points).toHaveLength(2);
    expect(await keys(target, '')).toEqual(await keys(source, ''));
    expect(before.length - plan.packs.length - 4).toBe((await keys(target, '')).length);
    await expectWhole(target, left);
    expect((await new VaultCopy({ source, target, clock }).run(running)).sent.objects).toBe(0);
  });

  it('removes nothing before the lists of the source are in the copy', async () => {
    const { source, target } = await collected();
    const before = await keys(target, '');
    expect((await prune(source, target)).packs).toEqual([]);
    expect(await keys(target, '')).toEqual(before);
  });

  it('keeps what a point of the copy itself needs, and what its writers are about to use', async () => {
    const { source, target, disk, left } = await collected();
    // Its parent is a point that the source has; only the copy has most of its content.
    const own = await openVault(target);
    disk.write(1_000_000, seededBytes('round 0', 600_000));
    const point = await backUp(own, disk);
    const is = await fingerprint(disk.reader());
    await new VaultCopy({ source, target, clock }).run(running);
    const name = { kind: 'data', ulid: newUlid(5), generation: 0, rand: randomSuffix() } as const;
    const writing = packKey(name);
    await target.put(writing, new Uint8Array(100), signal);
    await prune(source, target);

    expect(await keys(target, writing)).toEqual([writing]);
    await target.remove(writing, signal);
    await expectWhole(target, [...left, { id: point.id, is }]);
  });

  it('keeps a generation while the one that should replace it is damaged', async () => {
    const { source, target, left } = await collected();
    const before = await keys(target, 'd/');
    await new VaultCopy({ source, target, clock }).run(running);
    const newer = (await keys(target, 'd/')).filter((key) => !before.includes(key));
    expect(newer.length).toBeGreaterThan(0);
    for (const key of newer) {
      const bytes = Buffer.from((await target.get(key, signal)) ?? '');
      // In the first frame, which has the needed slots: the others were left out.
      bytes[200] = (bytes[200] ?? 0) ^ 1;
      await target.put(key, bytes, signal);
    }

    await prune(source, target);

    await expectWhole(target, left);
  });

  it('does not believe a source that lost its packs', async () => {
    const { source, target, left } = await collected();
    await new VaultCopy({ source, target, clock }).run(running);
    for (const key of [...(await keys(source, 'd/')), ...(await keys(source, 'm/'))]) {
      await source.remove(key, signal);
    }
    await prune(source, target);

    await expectWhole(target, left);
  });
});
