import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { SilentLog } from '../../kernel/log.ts';
import { isWorthRepairing } from '../../cli/vault-text/repair-text.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  changeObject,
  cut,
  flip,
  keysOf,
  remove,
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
import { collectVault } from '../collect/collector.ts';
import { VaultKeys } from '../access/vault-keys.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { MemoryProofLedger } from '../checks/proof-ledger.ts';
import { scrub } from '../checks/scrub.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { repairAccess } from './access-repair.ts';
import { repairVault } from './repair.ts';
import {
  diesAfterWrites,
  FaultyObjectStore,
} from '../../../test/support/vault/faulty-object-store.ts';

const KDF = { memoryKib: 64, passes: 1, lanes: 1 };
const ALL = { bytes: Infinity };

async function copyAll(from: ObjectStore, to: ObjectStore): Promise<void> {
  for (const key of await keysOf(from, '')) {
    await to.put(key, (await from.get(key, signal)) ?? new Uint8Array(), signal);
  }
}

async function copyOf(store: MemoryObjectStore): Promise<MemoryObjectStore> {
  const copy = new MemoryObjectStore();
  await copyAll(store, copy);
  return copy;
}

/** A vault with two points, and a whole copy of it. */
async function setUp(cacheFolder?: string) {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store, cacheFolder === undefined ? {} : { cacheFolder });
  const disk = new MemoryDisk(2_500_000);
  disk.write(0, seededBytes('repair', 2_400_000));
  const point = await backUp(vault, disk);
  const expected = await fingerprint(disk.reader());
  const copy = await copyOf(store);
  return { store, copy, vault, disk, point, expected };
}

type Made = Awaited<ReturnType<typeof setUp>>;

/** Whether a new machine finds the point whole: verified at level 3, and restored. */
async function isWhole({ store, point, disk, expected }: Made): Promise<boolean> {
  const vault = await openVault(store);
  const report = await vault.verify(point.id, 3, { signal });
  if (!report.ok) {
    return false;
  }
  const back = await restored(vault, point, disk.size);
  return (await fingerprint(back.reader())) === expected;
}

async function scrubAndRepair({ store }: Made, copy?: MemoryObjectStore) {
  const { inside } = await openVault(store);
  const report = await scrub(inside, { ledger: new MemoryProofLedger(), budget: ALL }, { signal });
  const suspects = report.damaged.map(({ key }) => key);
  const options = { dryRun: false, suspects, ...(copy === undefined ? {} : { copy }) };
  return repairVault((await openVault(store)).inside, options, { signal });
}

describe('repair from a copy', () => {
  it.each<[string, string]>([
    ['a data pack', 'd/'],
    ['a metadata pack', 'm/'],
  ])('puts %s that is missing back under its own key', async (_what, prefix) => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, prefix);
    await changeObject(made.store, key, remove);
    expect(await isWhole(made)).toBe(false);

    const report = await scrubAndRepair(made, made.copy);

    expect(report.packs).toMatchObject([{ outcome: 'copied', key, lostSlots: 0 }]);
    expect(await keysOf(made.store, '')).toEqual(await keysOf(made.copy, ''));
    expect(await isWhole(made)).toBe(true);
  });

  it.each<[string, string, Damage]>([
    ['a frame', 'd/', flip(100)],
    ['several frames', 'd/', (bytes) => flip(100)(flip(-100_000)(bytes) ?? bytes)],
    ['a footer', 'd/', flip(-70)],
    ['everything behind the first frame', 'd/', cut(-400_000)],
    ['the first frame of the map', 'm/', flip(90)],
    ['the footer of the map', 'm/', flip(-70)],
  ])(
    'writes a new generation when %s is damaged, and touches nothing that is there',
    async (_what, prefix, damage) => {
      const made = await setUp();
      const [key = ''] = await keysOf(made.store, prefix);
      await changeObject(made.store, key, damage);
      const damaged = await made.store.get(key, signal);
      expect(await isWhole(made)).toBe(false);

      const report = await scrubAndRepair(made, made.copy);

      expect(report.packs).toMatchObject([{ outcome: 'rewritten', lostSlots: 0 }]);
      expect(report.packs[0]?.key).toContain('.1.');
      expect(
        Buffer.from(damaged ?? new Uint8Array()).equals(
          (await made.store.get(key, signal)) ?? new Uint8Array(),
        ),
      ).toBe(true);
      expect(await isWhole(made)).toBe(true);
      const again = await scrubAndRepair(made, made.copy);
      expect(again.packs.every(({ outcome }) => outcome === 'whole')).toBe(true);
      expect(await keysOf(made.store, prefix)).toHaveLength(2);
    },
  );

  it('has something to do while what it wrote is not noted in the list of damage', async () => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, key, flip(100));
    const report = await scrubAndRepair(made, made.copy);
    const isWorth = async (): Promise<boolean> => {
      const { inside } = await openVault(made.store);
      return isWorthRepairing(await repairVault(inside, { dryRun: true }, { signal }));
    };
    expect(report.healedLists).toBe(1);
    expect(await isWorth()).toBe(false);

    // As if it had been killed after the last pack.
    const done = (await keysOf(made.store, 'bad/')).find((name) => name.endsWith('.done'));
    await made.store.remove(done ?? '', signal);

    expect(await isWorth()).toBe(true);
  });

  it('says what it would do and writes nothing when asked so', async () => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, key, remove);
    const before = await keysOf(made.store, '');
    const { inside } = await openVault(made.store);

    const report = await repairVault(inside, { dryRun: true, copy: made.copy }, { signal });

    expect(report).toMatchObject({ dryRun: true, packs: [{ outcome: 'copied', key }] });
    expect(await keysOf(made.store, '')).toEqual(before);
  });

  it('uses of a damaged copy only what is whole in it', async () => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, key, flip(100));
    await changeObject(made.copy, key, flip(-100_000));

    const report = await scrubAndRepair(made, made.copy);

    expect(report.packs).toMatchObject([{ outcome: 'rewritten', lostSlots: 0 }]);
    expect(await isWhole(made)).toBe(true);
  });

  it('puts nothing under a key that is damaged in the copy; what is whole of it gets a generation', async () => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, key, remove);
    await changeObject(made.copy, key, flip(-100_000));

    const report = await scrubAndRepair(made, made.copy);

    expect(report.packs).toMatchObject([{ outcome: 'rewritten' }]);
    expect(report.packs[0]?.lostSlots).toBeGreaterThan(0);
    expect(await made.store.get(key, signal)).toBeUndefined();
  });

  it('does not take the damage of the copy for content', async () => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, key, flip(100));
    await changeObject(made.copy, key, flip(101));

    const report = await scrubAndRepair(made, made.copy);

    expect(report.packs).toMatchObject([{ outcome: 'lost' }]);
    expect(report.packs[0]?.lostSlots).toBeGreaterThan(0);
    expect(await isWhole(made)).toBe(false);
  });

  it.each<[string, (keys: readonly string[]) => string]>([
    ['a recovery point', (keys) => keys.find((key) => /^s\/.*[0-9A-Z]$/.test(key)) ?? ''],
    ['a seal', (keys) => keys.find((key) => key.endsWith('.ok')) ?? ''],
  ])('brings %s back that is missing', async (_what, choose) => {
    const made = await setUp();
    const key = choose(await keysOf(made.store, 's/'));
    await changeObject(made.store, key, remove);

    const report = await scrubAndRepair(made, made.copy);

    expect(report.objects).toMatchObject([{ key, was: 'missing', outcome: 'copied' }]);
    expect(await isWhole(made)).toBe(true);
  });

  it('leaves a point away that was retired', async () => {
    const made = await setUp();
    await made.vault.retire(made.point.id, signal);
    for (const key of await keysOf(made.store, 's/')) {
      await changeObject(made.store, key, remove);
    }

    const report = await scrubAndRepair(made, made.copy);

    expect(report.objects).toEqual([]);
    expect(await keysOf(made.store, 's/')).toEqual([]);
  });

  it('leaves it away also when the retention key was changed since the copy was made', async () => {
    const made = await setUp();
    const next = await backUp(made.vault, made.disk);
    await made.vault.retire(made.point.id, signal);
    await copyAll(made.store, made.copy);
    const unlocks = { vault: { kind: 'passphrase', passphrase: PASSPHRASE } } as const;
    const parts = { clock: new SystemClock(), log: new SilentLog(), kdf: KDF };
    const keys = await VaultKeys.open(made.store, unlocks, parts, signal);
    const keep = async (content: string): Promise<string> => Promise.resolve(content);
    await keys.rotate([{ passphrase: PASSPHRASE, label: '' }], keep, signal);
    const options = { youngMs: 0, allPointsAreListed: true };
    await collectVault((await openVault(made.store)).inside, options, { signal });

    const { objects } = await scrubAndRepair(made, made.copy);

    expect(objects).toEqual([]);
    const points = await (await openVault(made.store)).points(signal);
    expect(points.map(({ id }) => id)).toEqual([next.id]);
  });

  it('overwrites a damaged seal only when it is asked to', async () => {
    const made = await setUp();
    const key = (await keysOf(made.store, 's/')).find((other) => other.endsWith('.ok')) ?? '';
    await changeObject(made.store, key, flip(50));

    const report = await scrubAndRepair(made, made.copy);
    expect(report.objects).toMatchObject([{ key, was: 'damaged', outcome: 'left' }]);

    const { inside } = await openVault(made.store);
    const options = { dryRun: false, copy: made.copy, overwrite: true };
    await repairVault(inside, options, { signal });
    expect(await isWhole(made)).toBe(true);
  });
});

describe('repair without a copy', () => {
  it.each<[string, Damage]>([
    ['header', flip(10)],
    ['prefix', flip(64)],
    ['checksum of a frame', flip(72)],
    ['trailer', flip(-1)],
    ['place of the footer', flip(-48)],
  ])('makes a damaged %s anew from the rest of the pack', async (_what, damage) => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, key, damage);

    const report = await scrubAndRepair(made);

    expect(report.packs).toMatchObject([{ outcome: 'rewritten', lostSlots: 0 }]);
    expect(await isWhole(made)).toBe(true);
  });

  it('takes a damaged footer from the cache of this machine', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hk-repair-'));
    try {
      const made = await setUp(folder);
      const [key = ''] = await keysOf(made.store, 'd/');
      await changeObject(made.store, key, flip(-70));

      const { inside } = await openVault(made.store, { cacheFolder: folder });
      const report = await repairVault(inside, { dryRun: false, suspects: [key] }, { signal });

      expect(report.packs).toMatchObject([{ outcome: 'rewritten', lostSlots: 0 }]);
      expect(await isWhole(made)).toBe(true);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('loses no more than the damaged frame, and no new generation at each run', async () => {
    const made = await setUp();
    const [key = ''] = await keysOf(made.store, 'd/');
    await changeObject(made.store, key, flip(-100_000));

    const report = await scrubAndRepair(made);
    const again = await scrubAndRepair(made);

    expect(report.packs[0]?.lostSlots).toBeGreaterThan(0);
    expect(again.packs[0]?.outcome).toBe('lost');
    expect((await keysOf(made.store, 'd/')).length).toBeLessThanOrEqual(2);
  });

  it('finds nothing to do in a whole vault', async () => {
    const made = await setUp();

    expect(await scrubAndRepair(made)).toMatchObject({
      packs: [],
      objects: [],
      unreadablePoints: [],
    });
  });
});

describe('repair of a vault that does not open', () => {
  it('brings all keys back, wherever it was killed', async () => {
    const { vault } = await createVault(new MemoryObjectStore(), {
      retentionPassphrase: 'only for the one who retires',
    });
    const copy = new MemoryObjectStore();
    await copyAll(vault.inside.base.store, copy);
    const disk = new MemoryDisk(100_000);
    disk.write(0, seededBytes('access', 50_000));
    await backUp(vault, disk);
    const keys = await keysOf(copy, 'keys/');
    expect(keys).toHaveLength(4);
    const unlock = { kind: 'passphrase', passphrase: PASSPHRASE } as const;
    for (let puts = 0; puts <= keys.length; puts++) {
      const store = new MemoryObjectStore();
      await copyAll(vault.inside.base.store, store);
      for (const key of keys) {
        await changeObject(store, key, remove);
      }
      const dying = new FaultyObjectStore(store, diesAfterWrites(puts));
      const apply = { apply: true, overwrite: false };
      await repairAccess({ store: dying, copy, unlock }, apply, signal).catch(() => undefined);

      const parts = { store, copy, unlock };
      await repairAccess(parts, apply, signal);
      const { inside } = await openVault(store);
      await repairVault(inside, { dryRun: false, copy }, { signal });

      expect(await keysOf(store, 'keys/')).toEqual(keys);
    }
  });

  it('does not bring back a passphrase that somebody removed', async () => {
    const made = await setUp();
    const [first = ''] = await keysOf(made.store, 'keys/');
    await changeObject(made.store, first, remove);
    const unlock = { kind: 'passphrase', passphrase: PASSPHRASE } as const;
    const { store, copy } = made;

    const repairs = await repairAccess(
      { store, copy, unlock },
      { apply: true, overwrite: true },
      signal,
    );

    expect(repairs).toMatchObject([{ key: first, outcome: 'left' }]);
    expect(await keysOf(store, 'keys/')).not.toContain(first);
  });
});
