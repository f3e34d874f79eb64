import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import {
  createVault,
  DISK,
  FULL,
  openVault,
  signal,
  VM,
} from '../../../test/support/vault/vault-lab.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { PREFIXES } from '../format/object-names.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import type { Vault } from '../vault.ts';
import { verifyAdded, type AddedReport } from './verify-added.ts';

const DISK_BYTES = 2_000_000;

/** Each look is a millisecond later: no pack has the time of a point. */
class RunningClock extends SystemClock {
  private ms = Date.now();

  override nowMs(): number {
    this.ms += 1;
    return this.ms;
  }
}

async function backUp(vault: Vault, disk: MemoryDisk): Promise<RecoveryPoint> {
  await using writer = await vault.beginPoint(VM, signal);
  const takenAtMs = vault.inside.clock.nowMs();
  const source = { diskId: DISK, name: 'system', sizeBytes: disk.size, reader: disk.reader() };
  await writer.addDisk({ ...source, changes: FULL }, { signal });
  const facts = { consistency: 'crash', notes: [], configuration: {} } as const;
  return await writer.commit({ ...facts, takenAtMs }, signal);
}

async function setUp() {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store, { clock: new RunningClock() });
  const disk = new MemoryDisk(DISK_BYTES);
  disk.write(0, seededBytes('first', DISK_BYTES));
  await backUp(vault, disk);
  const before = await keysOf(store);
  disk.write(0, seededBytes('second', 700_000));
  const point = await backUp(vault, disk);
  const added = (await keysOf(store)).filter((key) => !before.includes(key));
  return { store, before, added, point };
}

async function keysOf(store: MemoryObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for (const prefix of [PREFIXES.data, PREFIXES.metadata]) {
    for await (const { key } of store.list(prefix, signal)) {
      keys.push(key);
    }
  }
  return keys;
}

async function verified(store: MemoryObjectStore, point: RecoveryPoint): Promise<AddedReport> {
  const { inside } = await openVault(store);
  const { document } = await inside.points.load(point, signal);
  return verifyAdded(inside, document, { signal });
}

/** Flips a byte in the middle of an object. */
async function damage(store: MemoryObjectStore, key: string): Promise<void> {
  const bytes = Buffer.from((await store.get(key, signal)) ?? []);
  const middle = Math.floor(bytes.length / 3);
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  await store.remove(key, signal);
  await store.put(key, bytes, signal);
}

describe('verifyAdded', () => {
  it('reads what the point added, and nothing of what was there before', async () => {
    const { store, before, added, point } = await setUp();
    expect(added.length).toBeGreaterThanOrEqual(2);

    const report = await verified(store, point);
    expect(report).toMatchObject({ packs: added.length, problems: [] });
    expect(report.fetchedBytes).toBeGreaterThan(700_000);
    expect(report.fetchedBytes).toBeLessThan(DISK_BYTES);

    for (const key of before.filter((each) => each.startsWith(PREFIXES.data))) {
      await damage(store, key);
    }
    expect((await verified(store, point)).problems).toEqual([]);
  });

  it('finds one flipped byte in any pack that was added', async () => {
    const { added } = await setUp();
    for (let which = 0; which < added.length; which += 1) {
      const { store, added: keys, point } = await setUp();
      await damage(store, keys[which] ?? '');
      const { problems } = await verified(store, point);
      expect([keys[which], problems.length]).toEqual([keys[which], expect.any(Number)]);
      expect(problems.length).toBeGreaterThan(0);
    }
  });

  it('finds a pack that is gone', async () => {
    const { store, added, point } = await setUp();
    await store.remove(added.find((key) => key.startsWith(PREFIXES.data)) ?? '', signal);
    expect((await verified(store, point)).problems.map(({ code }) => code)).toContain(
      'vault.pack-missing',
    );
  });
});
