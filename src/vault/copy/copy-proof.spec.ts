import { mkdtempDisposable, readdir, rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { VaultCopy } from './vault-copy.ts';
import type { ObjectEntry, ObjectKey, ObjectStore, PutOptions } from '../store/object-store.ts';
import { DirectoryObjectStore } from '../object-stores/folder/directory.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { StoreLayer } from '../store/store-layer.ts';
import { faultCodeOf } from '../../../test/support/service/fault-code.ts';
import { FaultyObjectStore } from '../../../test/support/vault/faulty-object-store.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { backUp, createVault, openVault, signal } from '../../../test/support/vault/vault-lab.ts';
import { keysOf } from '../../../test/support/vault/vault-damage.ts';

const clock = new SystemClock();
const isPoint = (key: string): boolean => key.startsWith('s/') && !key.endsWith('.ok');
const isSeal = (key: string): boolean => key.startsWith('s/') && key.endsWith('.ok');

/** A store to which something happens before one of its puts, and whose lists and puts may lie. */
class TroubledStore extends StoreLayer {
  /** Awaited before each put. */
  beforePut: (key: ObjectKey) => Promise<void> = async () => undefined;
  /** Keys that are reported as stored and are not. */
  swallows: (key: ObjectKey) => boolean = () => false;
  /** Keys that lists do not show. */
  hides: (key: ObjectKey) => boolean = () => false;

  override async put(
    key: ObjectKey,
    data: Uint8Array,
    stop: AbortSignal,
    options?: PutOptions,
  ): Promise<void> {
    await this.beforePut(key);
    if (!this.swallows(key)) {
      await super.put(key, data, stop, options);
    }
  }

  override async *list(prefix: string, stop: AbortSignal): AsyncIterable<ObjectEntry> {
    for await (const entry of super.list(prefix, stop)) {
      if (!this.hides(entry.key)) {
        yield entry;
      }
    }
  }
}

async function twoPoints(store: ObjectStore = new MemoryObjectStore()) {
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(600_000);
  disk.write(0, seededBytes('one', 300_000));
  await backUp(vault, disk);
  disk.write(200_000, seededBytes('two', 300_000));
  await backUp(vault, disk);
  return { source: store, vault, disk };
}

async function copy(source: ObjectStore, target: ObjectStore) {
  return new VaultCopy({ source, target, clock }).run({ signal });
}

async function empty(store: ObjectStore): Promise<void> {
  for (const key of await keysOf(store)) {
    await store.remove(key, signal);
  }
}

/** Expects that every point that counts there is whole. */
async function expectWhole(store: ObjectStore, count: number): Promise<void> {
  const vault = await openVault(store);
  const points = await vault.points(signal);
  expect(points).toHaveLength(count);
  for (const { id } of points) {
    expect(await vault.verify(id, 3, { signal })).toMatchObject({ ok: true });
  }
  await vault.close();
}

/** Does something once, before the first put of such a key. */
function once(
  is: (key: ObjectKey) => boolean,
  event: () => Promise<void>,
): (key: ObjectKey) => Promise<void> {
  let left = 1;
  return async (key) => {
    if (is(key) && left-- > 0) {
      await event();
    }
  };
}

describe('before a point of a copy counts', () => {
  it.each(['d/', 'm/'])(
    'a pack under %s that was removed meanwhile is sent again',
    async (prefix) => {
      const { source } = await twoPoints();
      const target = new MemoryObjectStore();
      const troubled = new TroubledStore(target);
      troubled.beforePut = once(isPoint, async () => {
        const [first = ''] = await keysOf(target, prefix);
        await target.remove(first, signal);
      });

      const report = await copy(source, troubled);

      expect(report).toMatchObject({ points: 2, damaged: [] });
      expect(report.passes).toBeGreaterThan(2);
      await expectWhole(target, 2);
    },
  );

  it('packs that vanish again and again end the copy without it', async () => {
    const { source } = await twoPoints();
    const target = new TroubledStore(new MemoryObjectStore());
    // An old listing proves no more than missing packs would.
    const [newest = ''] = (await keysOf(source, 'd/')).reverse();
    target.hides = (key) => key === newest;

    expect(await faultCodeOf(copy(source, target))).toBe('copy.overtaken');

    expect((await keysOf(target, 's/')).filter(isSeal)).toEqual([]);
    target.hides = () => false;
    await copy(source, target);
    await expectWhole(target, 2);
  });

  it.each([
    ['a pack', (key: string) => key.startsWith('d/')],
    ['a point', isPoint],
  ])('another vault that came to its place before %s was sent is noticed', async (_what, is) => {
    const { source } = await twoPoints();
    const other = new MemoryObjectStore();
    await twoPoints(other);
    const target = new MemoryObjectStore();
    const troubled = new TroubledStore(target);
    troubled.beforePut = once(is, async () => {
      await empty(target);
      for (const key of await keysOf(other)) {
        await target.put(key, (await other.get(key, signal)) ?? new Uint8Array(), signal);
      }
    });

    expect(await faultCodeOf(copy(source, troubled))).toBe('copy.other-vault');

    expect((await keysOf(target, 's/')).filter(isSeal)).toEqual(
      (await keysOf(other, 's/')).filter(isSeal),
    );
  });

  it('a place that was emptied is noticed', async () => {
    const { source } = await twoPoints();
    const target = new MemoryObjectStore();
    const troubled = new TroubledStore(target);
    troubled.beforePut = once(isPoint, async () => empty(target));

    expect(await faultCodeOf(copy(source, troubled))).toBe('vault.not-found');
    expect((await keysOf(target, 's/')).filter(isSeal)).toEqual([]);
  });

  it('a folder that went away is not made anew', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'hk-copy-gone-'));
    const place = join(folder.path, 'copy');
    const { source, vault, disk } = await twoPoints();
    await copy(source, new DirectoryObjectStore(place));
    disk.write(0, seededBytes('three', 100_000));
    await backUp(vault, disk);
    const target = new DirectoryObjectStore(place);
    const renaming = new TroubledStore(target);
    renaming.beforePut = once(
      () => true,
      async () => rename(place, join(folder.path, 'away')),
    );

    expect(await faultCodeOf(copy(source, renaming))).toBe('vault.not-found');

    expect(await readdir(folder.path)).toEqual(['away']);
  });

  it.each([
    ['the point', isPoint],
    ['its seal', isSeal],
  ])('%s that the store did not keep is noticed', async (_what, is) => {
    const { source } = await twoPoints();
    const target = new TroubledStore(new MemoryObjectStore());
    let left = 1;
    target.swallows = (key) => is(key) && left-- > 0;

    expect(await faultCodeOf(copy(source, target))).toBe('store.hash-mismatch');

    await copy(source, target);
    await expectWhole(target, 2);
  });

  it('another object in the place of the point is named, and does not count', async () => {
    const { source } = await twoPoints();
    const [first = ''] = (await keysOf(source, 's/')).filter(isPoint);
    const bytes = Buffer.from((await source.get(first, signal)) ?? '');
    bytes[60] = (bytes[60] ?? 0) ^ 1;
    const inner = new MemoryObjectStore();
    const target = new TroubledStore(inner);
    target.swallows = (key) => key === first;
    // It has the right size: only its content shows the difference.
    target.beforePut = once(isPoint, async () => inner.put(first, bytes, signal));

    const report = await copy(source, target);

    expect(report.damaged).toEqual([first]);
    expect((await keysOf(target, 's/')).filter(isSeal)).toHaveLength(1);
  });

  it.each(['keys/', 'fmt/'])(
    'an object under %s that is not the source’s is named',
    async (prefix) => {
      const { source } = await twoPoints();
      const target = new MemoryObjectStore();
      const troubled = new TroubledStore(target);
      const [first = ''] = await keysOf(source, prefix);
      const bytes = Buffer.from((await source.get(first, signal)) ?? '');
      const last = bytes.length - 1;
      bytes[last] = (bytes[last] ?? 0) ^ 1;
      troubled.beforePut = once(isPoint, async () => target.put(first, bytes, signal));

      expect((await copy(source, troubled)).damaged).toEqual([first]);
    },
  );

  it('a seal of the source whose point is gone is named', async () => {
    const { source } = await twoPoints();
    const [first = ''] = (await keysOf(source, 's/')).filter(isPoint);
    await source.remove(first, signal);

    expect(await copy(source, new MemoryObjectStore())).toMatchObject({
      points: 1,
      damaged: [first],
    });
  });

  it('nonsense in the place of answers ends the copy, and what counts is whole', async () => {
    const { source } = await twoPoints();
    const counting = new FaultyObjectStore(new MemoryObjectStore());
    await copy(source, counting);
    const first = (await keysOf(source, 'keys/')).length;
    expect(counting.requestCount).toBeGreaterThan(30);
    for (let from = 0; from < counting.requestCount; from += 3) {
      const target = new MemoryObjectStore();
      const lying = new FaultyObjectStore(target, ({ kind, index }) =>
        index >= from && (kind === 'get' || kind === 'list') ? 'nonsense' : undefined,
      );
      const code = await faultCodeOf(copy(source, lying));
      expect(['store.nonsense', undefined]).toContain(code);
      const there = await keysOf(target);
      if (there.length > first) {
        const seals = there.filter(isSeal).length;
        await expectWhole(target, seals);
      }
    }
  });
});
