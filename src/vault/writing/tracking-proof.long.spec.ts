import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import type { Extent } from '../../disk/extent.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { createVault, DISK, restored, signal, VM } from '../../../test/support/vault/vault-lab.ts';
import type { ChangeSet } from '../../disk/change-set.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import type { Vault } from '../vault.ts';

const KIB = 1024;
const SIZE = 12 * 1024 * KIB;
const ALL: Extent[] = [{ offset: 0, length: SIZE }];
const NOTHING: ChangeSet = { method: 'changed-extents', extents: [] };

async function backUp(
  vault: Vault,
  disk: MemoryDisk,
  { changes, prove = [] }: { changes: ChangeSet; prove?: readonly Extent[] },
): Promise<RecoveryPoint> {
  await using writer = await vault.beginPoint(VM, signal);
  const source = { diskId: DISK, name: 'system', sizeBytes: disk.size, changes, prove };
  await writer.addDisk({ ...source, reader: disk.reader() }, { signal });
  const facts = { takenAtMs: 1, consistency: 'crash', notes: [], configuration: {} } as const;
  return await writer.commit(facts, signal);
}

/** A disk with data from 1 to 5 MiB, and its first point. */
async function setUp(): Promise<{ vault: Vault; disk: MemoryDisk }> {
  const { vault } = await createVault();
  const disk = new MemoryDisk(SIZE);
  disk.write(1024 * KIB, seededBytes('content', 4096 * KIB));
  await backUp(vault, disk, { changes: { method: 'full', reason: 'requested' } });
  return { vault, disk };
}

async function isSame(one: MemoryDisk, other: MemoryDisk): Promise<boolean> {
  const [a, b] = [Buffer.alloc(one.size), Buffer.alloc(other.size)];
  await one.reader().read(0, a, signal);
  await other.reader().read(0, b, signal);
  return Buffer.compare(a, b) === 0;
}

const KINDS: [string, (disk: MemoryDisk) => void][] = [
  [
    'data that changed',
    (disk) => {
      disk.write(2048 * KIB + 700, new Uint8Array(5).fill(7));
    },
  ],
  [
    'data where there was none',
    (disk) => {
      disk.write(8192 * KIB, new Uint8Array(5).fill(7));
    },
  ],
  [
    'zeroes where there was data',
    (disk) => {
      disk.zero({ offset: 1100 * KIB, length: 64 * KIB });
    },
  ],
];

describe('a backup that checks change tracking', () => {
  it.each(KINDS)('finds %s unnoticed, and reads the disk whole', async (_what, change) => {
    const { vault, disk } = await setUp();
    change(disk);

    const point = await backUp(vault, disk, { changes: NOTHING, prove: ALL });

    expect(point.disks[0]).toMatchObject({ method: 'full', reason: 'tracking-wrong' });
    expect(await isSame(await restored(vault, point, SIZE), disk)).toBe(true);
    await vault.close();
  });

  it('does not look elsewhere: that is what the other days are for', async () => {
    const { vault, disk } = await setUp();
    disk.write(2048 * KIB, new Uint8Array(5).fill(7));

    const prove = [{ offset: 4096 * KIB, length: 4096 * KIB }];
    const point = await backUp(vault, disk, { changes: NOTHING, prove });

    expect(point.disks[0]).toMatchObject({ method: 'changed-extents' });
    await vault.close();
  });

  it('takes no reported change for a mistake', async () => {
    const { vault, disk } = await setUp();
    const extents = [
      { offset: 2048 * KIB + 512, length: 1024, content: 'data' },
      { offset: 3072 * KIB, length: 64 * KIB, content: 'zero' },
      { offset: 9000 * KIB, length: 4 * KIB, content: 'data' },
    ] as const;
    for (const { offset, length, content: kind } of extents) {
      if (kind === 'zero') {
        disk.zero({ offset, length });
      } else {
        disk.write(offset, seededBytes('new', length));
      }
    }

    const changes = { method: 'changed-extents', extents } as const;
    const point = await backUp(vault, disk, { changes, prove: ALL });

    expect(point.disks[0]).toMatchObject({ method: 'changed-extents' });
    expect(await isSame(await restored(vault, point, SIZE), disk)).toBe(true);
    await vault.close();
  });
});
