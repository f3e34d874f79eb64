import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { faultCodeOf } from '../../../test/support/service/fault-code.ts';
import {
  diesAfterWrites,
  FaultyObjectStore,
} from '../../../test/support/vault/faulty-object-store.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { MeteredObjectStore } from '../object-stores/metered.ts';
import { VaultCopy } from './vault-copy.ts';

const clock = new SystemClock();
const SIZE = 1_000_000;

async function copy(source: ObjectStore, target: ObjectStore, readBack = false) {
  return new VaultCopy({ source, target, clock, readBack }).run({ signal });
}

async function twoPoints() {
  const source = new MemoryObjectStore();
  const { vault } = await createVault(source);
  const disk = new MemoryDisk(SIZE);
  disk.write(0, seededBytes('one', 500_000));
  const first = { point: await backUp(vault, disk), is: await fingerprint(disk.reader()) };
  disk.write(200_000, seededBytes('two', 300_000));
  const second = { point: await backUp(vault, disk), is: await fingerprint(disk.reader()) };
  return { source, vault, disk, first, second };
}

async function firstPack(store: ObjectStore) {
  for await (const { key, size } of store.list('d/', signal)) {
    return { key, size, bytes: (await store.get(key, signal)) ?? new Uint8Array() };
  }
  throw new Error('there is no pack');
}

async function expectWhole(store: ObjectStore, is: Readonly<Record<string, string>>) {
  const vault = await openVault(store);
  const points = await vault.points(signal);
  expect(points.map(({ id }) => id).toSorted()).toEqual(Object.keys(is).toSorted());
  for (const { id } of points) {
    const back = await restored(vault, { id }, SIZE);
    expect(await fingerprint(back.reader())).toBe(is[id]);
    expect((await vault.verify(id, 3, { signal })).problems).toEqual([]);
  }
}

describe('VaultCopy', () => {
  it('makes a vault of its own, and sends each object once', async () => {
    const { source, first, second } = await twoPoints();
    const target = new MeteredObjectStore(new MemoryObjectStore());

    const plan = await new VaultCopy({ source, target, clock }).plan({ signal });
    const report = await copy(source, target, true);

    expect(report.sent).toEqual(plan.missing);
    expect(target.traffic.puts).toBe(report.sent.objects);
    expect(report).toMatchObject({ points: 2, pointsBeyond: 0, damaged: [] });
    await expectWhole(target, { [first.point.id]: first.is, [second.point.id]: second.is });
  });

  it('sends only what is new, and adds points that the source made since', async () => {
    const { source, vault, disk, first, second } = await twoPoints();
    const target = new MemoryObjectStore();
    await copy(source, target);
    expect((await copy(source, target)).sent.objects).toBe(0);

    disk.write(0, seededBytes('three', 100_000));
    const third = await backUp(vault, disk);
    const report = await copy(source, target);

    // A data pack, a metadata pack, the point and its seal.
    expect(report.sent.objects).toBe(4);
    await expectWhole(target, {
      [first.point.id]: first.is,
      [second.point.id]: second.is,
      [third.id]: await fingerprint(disk.reader()),
    });
  });

  it('leaves a copy that is written to, and keeps the points of both', async () => {
    const { source, disk, first, second } = await twoPoints();
    const target = new MemoryObjectStore();
    await copy(source, target);
    const own = await openVault(target);
    disk.write(700_000, seededBytes('own', 100_000));
    const point = await backUp(own, disk);
    expect(point.parentId).toBe(second.point.id);

    const report = await copy(source, target);

    expect(report).toMatchObject({ points: 2, pointsBeyond: 1 });
    await expectWhole(target, {
      [first.point.id]: first.is,
      [second.point.id]: second.is,
      [point.id]: await fingerprint(disk.reader()),
    });
  });

  it('carries retired points over as retired', async () => {
    const { source, vault, first, second } = await twoPoints();
    const target = new MemoryObjectStore();
    await copy(source, target);
    await vault.retire(first.point.id, signal);
    await copy(source, target);

    await expectWhole(target, { [second.point.id]: second.is });
  });

  it.each(['gc/000001-00', 'alias/000001-00'])(
    'refuses a target in which somebody collected (%s), also while it copies, and seals nothing then',
    async (key) => {
      const { source } = await twoPoints();
      const target = new MemoryObjectStore();
      const watched = new FaultyObjectStore(target, ({ kind, key: put }) => {
        if (kind === 'put' && put.startsWith('s/')) {
          void target.put(key, new Uint8Array(10), signal);
        }
        return undefined;
      });

      expect(await faultCodeOf(copy(source, watched))).toBe('copy.target-collected');
      expect(await (await openVault(target)).points(signal)).toEqual([]);
      expect(await faultCodeOf(copy(source, target))).toBe('copy.target-collected');
    },
  );

  it('refuses other vaults, other things, nothing and itself', async () => {
    const { source } = await twoPoints();
    const other = new MemoryObjectStore();
    await createVault(other);
    const strange = new MemoryObjectStore();
    await strange.put('photos', new Uint8Array(1), signal);

    expect(await faultCodeOf(copy(source, other))).toBe('copy.other-vault');
    expect(await faultCodeOf(copy(source, strange))).toBe('vault.not-empty');
    expect(await faultCodeOf(copy(new MemoryObjectStore(), strange))).toBe('vault.not-found');
    expect(await faultCodeOf(copy(source, source))).toBe('copy.same-place');
  });

  it('copies a damaged pack as it is and names it, and never over a whole one', async () => {
    const { source } = await twoPoints();
    const whole = new MemoryObjectStore();
    await copy(source, whole);
    const { key, size, bytes } = await firstPack(source);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    await source.put(key, bytes, signal);

    const report = await copy(source, new MemoryObjectStore());
    expect(report.damaged).toEqual([key]);
    // If it is cut short, its size differs too.
    await source.put(key, bytes.subarray(0, -10), signal);
    const again = await copy(source, whole);
    expect(again).toMatchObject({ damaged: [key], sent: { objects: 0 } });
    expect((await firstPack(whole)).size).toBe(size);
  });

  it('heals a pack that is cut short in the target', async () => {
    const { source, first, second } = await twoPoints();
    const target = new MemoryObjectStore();
    await copy(source, target);
    await target.put((await firstPack(target)).key, new Uint8Array(1000), signal);

    expect((await copy(source, target)).damaged).toEqual([]);
    await expectWhole(target, { [first.point.id]: first.is, [second.point.id]: second.is });
  });

  it('keeps at most two packs in memory', async () => {
    const { source } = await twoPoints();
    let [now, most] = [0, 0];
    const counting = new MemoryObjectStore();
    const put = counting.put.bind(counting);
    counting.put = async (...parameters) => {
      now += 1;
      most = Math.max(most, now);
      await new Promise(setImmediate);
      await put(...parameters);
      now -= 1;
    };
    await copy(source, counting);
    expect(most).toBeLessThanOrEqual(18);
  });
});

describe('a copy that dies after any write', () => {
  it('leaves a vault with whole points, and the next run sends only what is missing', async () => {
    const { source, first, second } = await twoPoints();
    const is = { [first.point.id]: first.is, [second.point.id]: second.is };
    const whole = (await copy(source, new MemoryObjectStore())).sent.objects;
    for (let writes = 0; writes < whole; writes++) {
      const target = new MemoryObjectStore();
      const dying = new FaultyObjectStore(target, diesAfterWrites(writes));
      await expect(copy(source, dying)).rejects.toThrow('died');
      const there = (await Array.fromAsync(target.list('', signal))).map(({ key }) => key);
      expect(there.length).toBe(writes);
      if (there.some((key) => key.startsWith('fmt/'))) {
        const points = await (await openVault(target)).points(signal);
        const some = Object.fromEntries(points.map(({ id }) => [id, is[id] ?? '']));
        await expectWhole(target, some);
      }
      expect((await copy(source, target)).sent.objects).toBe(whole - writes);
      await expectWhole(target, is);
    }
  });
});
