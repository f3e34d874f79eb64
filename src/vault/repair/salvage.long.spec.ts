import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { VaultKeys } from '../access/vault-keys.ts';
import { parsePackKey } from '../format/object-names.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { repairVault } from './repair.ts';
import { salvagePack } from './salvage.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  changeObject,
  flip,
  keysOf,
  type Damage,
} from '../../../test/support/vault/vault-damage.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  PASSPHRASE,
  restored,
  signal,
} from '../../../test/support/vault/vault-lab.ts';

const KEPT_VERSION = 14;
const FRAME = 300;
const FOOTER = -70;
const TRAILER = -20;

async function rotate(store: ObjectStore): Promise<void> {
  const kdf = { memoryKib: 64, passes: 1, lanes: 1 };
  const vault = { kind: 'passphrase', passphrase: PASSPHRASE } as const;
  const keys = await VaultKeys.open(store, { vault }, { clock: new SystemClock(), kdf }, signal);
  const kept = [{ passphrase: PASSPHRASE, label: '' }];
  await keys.rotate(kept, async (content) => Promise.resolve(content), signal);
}

/** A vault with one point, and a whole copy of it from before its keys were rotated twice. */
async function setUp(cacheFolder?: string) {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store, cacheFolder === undefined ? {} : { cacheFolder });
  const disk = new MemoryDisk(2_500_000);
  disk.write(0, seededBytes('salvage', 2_400_000));
  const point = await backUp(vault, disk);
  const copy = new MemoryObjectStore();
  for (const key of await keysOf(store, '')) {
    await copy.put(key, (await store.get(key, signal)) ?? new Uint8Array(), signal);
  }
  await rotate(store);
  await rotate(store);
  const packs = await keysOf(store, 'd/');
  return { store, copy, disk, point, packs };
}

const both =
  (...damages: readonly Damage[]): Damage =>
  (bytes) =>
    damages.reduce<Uint8Array | undefined>((left, damage) => left && damage(left), bytes);

describe('repair after the keys were rotated', () => {
  it.each<[string, Damage]>([
    ['a frame', flip(FRAME)],
    ['the trailer and a frame', both(flip(TRAILER), flip(FRAME))],
    ['trailer, header and a frame', both(flip(TRAILER), flip(KEPT_VERSION), flip(FRAME))],
    ['the footer', flip(FOOTER)],
  ])('heals %s of an older pack from the copy', async (_, damage) => {
    const { store, copy, disk, point, packs } = await setUp();
    for (const key of packs) {
      await changeObject(store, key, damage);
    }
    const vault = await openVault(store);

    const report = await repairVault(
      vault.inside,
      { dryRun: false, suspects: packs, copy },
      { signal },
    );

    expect(report.packs.map(({ outcome, lostSlots }) => ({ outcome, lostSlots }))).toEqual(
      packs.map(() => ({ outcome: 'rewritten', lostSlots: 0 })),
    );
    const healed = await openVault(store);
    expect((await healed.verify(point.id, 3, { signal })).ok).toBe(true);
    const back = await restored(healed, point, disk.size);
    expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
  });

  it('heals a pack of which a stranger put the highest generation', async () => {
    const { store, copy, point, packs } = await setUp();
    const [key = ''] = packs;
    await changeObject(store, key, flip(FRAME));
    const strange = key.replace(/\.0\..*$/, `.4294967295.${'0'.repeat(32)}`);
    await store.put(strange, Buffer.from('no pack'), signal);
    const { inside } = await openVault(store);

    await repairVault(inside, { dryRun: false, suspects: [key], copy }, { signal });

    expect((await (await openVault(store)).verify(point.id, 3, { signal })).ok).toBe(true);
  });

  it('reads what is whole of an older pack whose footer only this machine has', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hk-salvage-'));
    try {
      const { store, packs } = await setUp(folder);
      const [key = ''] = packs;
      await changeObject(store, key, both(flip(TRAILER), flip(FOOTER)));
      const name = parsePackKey(key);
      const { inside } = await openVault(store, { cacheFolder: folder });
      const object = (await store.get(key, signal)) ?? new Uint8Array();

      const salvage = name && (await salvagePack(inside.packs, name, object, inside.cache));

      expect(salvage?.footerSource).toBe('cache');
      expect(salvage?.wholeFrames).toBe(salvage?.footer?.frames.length);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('reading a damaged pack', () => {
  it('lets the event loop turn after each frame', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store, { parameters: { packBytes: 8 * 1024 * 1024 } });
    const disk = new MemoryDisk(7_000_000);
    disk.write(0, seededBytes('pause', 6_900_000));
    await backUp(vault, disk);
    const [key = ''] = await keysOf(store, 'd/');
    const name = parsePackKey(key);
    const object = (await store.get(key, signal)) ?? new Uint8Array();
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);

    const salvage = name && (await salvagePack(vault.inside.packs, name, object));

    clearImmediate(next);
    expect(salvage?.footer?.frames.length).toBeGreaterThan(3);
    expect(turns).toBeGreaterThanOrEqual((salvage?.footer?.frames.length ?? 0) - 1);
  });
});
