import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import type { ChangeSet } from '../../../src/disk/change-set.ts';
import { MemoryObjectStore } from '../../support/vault/memory-object-store.ts';
import { MeteredObjectStore, type StoreTraffic } from '../../../src/vault/object-stores/metered.ts';
import { backUp, createVault, DISK } from '../../support/vault/vault-lab.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** All over the first 2 GiB: 64 MiB. */
const OFFSETS = Array.from({ length: 64 }, (_, index) => index * 32 * MIB + 5 * MIB);
const CHANGES: ChangeSet = {
  method: 'changed-extents',
  extents: OFFSETS.map((offset) => ({ offset, length: MIB, content: 'data' })),
};

function requests({ puts, gets, lists, removes }: StoreTraffic): number {
  return puts + gets + lists + removes;
}

/** What an increment of 64 MiB costs on a disk of this size. */
async function cost(sizeBytes: number) {
  const store = new MeteredObjectStore(new MemoryObjectStore());
  const parameters = { packBytes: 64 * MIB };
  const { vault } = await createVault(store, { workers: 2, parameters });
  try {
    const disk = new MemoryDisk(sizeBytes);
    const write = (round: number): void => {
      for (const offset of OFFSETS) {
        disk.write(offset, seededBytes(`round ${round} at ${offset}`, MIB));
      }
    };
    write(1);
    await backUp(vault, disk);
    write(2);
    const before = store.traffic;
    const point = await backUp(vault, disk, { changes: CHANGES });
    const found = point.disks.find(({ diskId }) => diskId === DISK);
    return {
      readBytes: found?.statistics.readBytes ?? 0,
      sentBytes: store.traffic.sentBytes - before.sentBytes,
      requests: requests(store.traffic) - requests(before),
    };
  } finally {
    await vault.close();
  }
}

describe('an increment of 64 MiB', () => {
  it('reads, sends and asks the same on a disk of 2 GiB and on a sparse one of 64 GiB', async () => {
    const small = await cost(2 * GIB);
    const large = await cost(64 * GIB);

    expect(small.readBytes).toBe(64 * MIB);
    expect(large.readBytes).toBe(64 * MIB);
    expect(Math.abs(large.sentBytes / small.sentBytes - 1)).toBeLessThan(0.05);
    expect(Math.abs(large.requests - small.requests)).toBeLessThanOrEqual(1);
    expect(small.requests).toBeLessThan(30);
  });
});
