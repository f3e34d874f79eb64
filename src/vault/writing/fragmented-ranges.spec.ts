import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { backUp, createVault, restored, signal } from '../../../test/support/vault/vault-lab.ts';
import { fragmented } from './fragmented-ranges.ts';

const SECTOR = 4096;
const SIZE = 8 * 1024 * 1024;

/** `count` pieces of one sector each, from different slots. */
function pieces(from: number, count: number, slotSectors = 1) {
  return Array.from({ length: count }, (_, index) => ({
    start: from + index,
    sectors: 1,
    pack: 1,
    slot: index * 2,
    first: 0,
    slotSectors,
    id: new Uint8Array(16),
  }));
}

describe('what is worth storing anew', () => {
  it('is a neighbourhood in more than eight pieces', () => {
    expect(fragmented(pieces(64, 8))).toEqual([]);
    expect(fragmented(pieces(64, 9))).toEqual([2]);
  });

  it('is a piece of a slot of which less than a quarter is used', () => {
    expect(fragmented(pieces(40, 1, 4))).toEqual([]);
    expect(fragmented(pieces(40, 1, 5))).toEqual([1]);
  });

  it('keeps a disk with many small changes in few pieces, within the budget', async () => {
    const { vault } = await createVault();
    const disk = new MemoryDisk(SIZE);
    disk.write(0, seededBytes('content', SIZE));
    let point = await backUp(vault, disk);
    const readBytes: number[] = [];
    // Every other sector of one neighbourhood, one per backup.
    for (let round = 0; round < 16; round++) {
      const offset = (64 + round * 2) * SECTOR;
      disk.write(offset, seededBytes(`round ${round}`, SECTOR));
      const extents = [{ offset, length: SECTOR, content: 'data' }] as const;
      point = await backUp(vault, disk, { changes: { method: 'changed-extents', extents } });
      readBytes.push(point.disks[0]?.statistics.readBytes ?? 0);
    }

    const back = await restored(vault, point, SIZE);
    const [is, should] = [Buffer.alloc(SIZE), Buffer.alloc(SIZE)];
    await back.reader().read(0, is, signal);
    await disk.reader().read(0, should, signal);
    expect(Buffer.compare(is, should)).toBe(0);
    // Some backups read a neighbourhood or two more than the changed sector; none reads the whole
    // disk.
    expect(readBytes.filter((bytes) => bytes > SECTOR).length).toBeGreaterThan(0);
    expect(Math.max(...readBytes)).toBeLessThanOrEqual(1024 * 1024 + SECTOR);
    await vault.close();
  });
});
