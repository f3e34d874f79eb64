import { MemoryDisk } from '../../../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../../../test/support/random/seeded-bytes.ts';
import { backUp, createVault } from '../../../../test/support/vault/vault-lab.ts';
import type { ContentExtent } from '../../../disk/extent.ts';
import { MiB } from '../../../kernel/text/bytes.ts';
import type { DiskStatistics } from '../../points/recovery-point.ts';

const random = (seed: string, bytes = MiB) => seededBytes(seed, bytes);
const text = (seed: string, bytes = MiB) => random(seed, bytes).map((byte) => (byte & 7) | 0x40);

/** Takes a point after each step, and returns what it says of the only disk. */
async function statistics(
  steps: readonly ((disk: MemoryDisk) => ContentExtent[] | undefined)[],
): Promise<DiskStatistics[]> {
  const { vault } = await createVault();
  try {
    const disk = new MemoryDisk(8 * MiB);
    const found: DiskStatistics[] = [];
    for (const step of steps) {
      const extents = step(disk);
      const changes = extents && ({ method: 'changed-extents', extents } as const);
      const point = await backUp(vault, disk, changes === undefined ? {} : { changes });
      found.push(...point.disks.map((each) => each.statistics));
    }
    return found;
  } finally {
    await vault.close();
  }
}

function write(disk: MemoryDisk, at: number, bytes: Uint8Array): ContentExtent[] {
  disk.write(at, bytes);
  return [{ offset: at, length: bytes.length, content: 'data' }];
}

describe('what a point says of changed content', () => {
  it('counts what replaces content and how it compresses, apart from what is added', async () => {
    const [first, second, third] = await statistics([
      (disk) => {
        write(disk, 0, text('a', 2 * MiB));
        return undefined;
      },
      (disk) => [...write(disk, 0, random('b')), ...write(disk, 4 * MiB, random('c'))],
      (disk) => write(disk, MiB, text('d')),
    ]);

    const none = { replacingBytes: 0, replacingStoredBytes: 0, clearedBytes: 0 };
    expect(first).toMatchObject({ ...none, contentBytes: 2 * MiB });
    expect(second).toMatchObject({ newBytes: 2 * MiB, replacingBytes: MiB, contentBytes: 3 * MiB });
    expect((second?.replacingStoredBytes ?? 0) / MiB).toBeCloseTo(1, 2);
    expect(third).toMatchObject({ replacingBytes: MiB, clearedBytes: 0, contentBytes: 3 * MiB });
    expect((third?.replacingStoredBytes ?? 0) / MiB).toBeLessThan(0.5);
  });

  it('counts what is zero now, and nothing that is as it was', async () => {
    const [, same, cleared, whole] = await statistics([
      (disk) => {
        write(disk, 0, text('a', 4 * MiB));
        return undefined;
      },
      (disk) => write(disk, MiB, disk.toBytes().subarray(MiB, 2 * MiB)),
      (disk) => {
        disk.zero({ offset: 0, length: MiB });
        disk.zero({ offset: 2 * MiB, length: MiB });
        return [
          { offset: 0, length: MiB, content: 'zero' },
          { offset: 2 * MiB, length: MiB, content: 'data' },
        ];
      },
      (disk) => {
        write(disk, 3 * MiB, random('b'));
        return undefined;
      },
    ]);

    expect(same?.clearedBytes).toBe(0);
    // Cuts near the borders of what was read are others, and each vault has cuts of its own.
    expect(same?.replacingBytes).toBeLessThan(0.5 * MiB);
    expect(cleared).toMatchObject({ clearedBytes: 2 * MiB, contentBytes: 2 * MiB });
    expect(whole?.replacingBytes).toBeGreaterThanOrEqual(MiB);
    expect(whole?.replacingBytes).toBeLessThan(1.5 * MiB);
    expect(whole?.contentBytes).toBe(2 * MiB);
  });
});
