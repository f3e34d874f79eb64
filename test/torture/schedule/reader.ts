import { isFault } from '../../../src/kernel/fault.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { diskOf, firstDifference } from '../lab.ts';
import type { Promised } from './ledger.ts';
import type { World } from './world.ts';

/** Restores while all the others work; points retired meanwhile may fail. */
export async function read(world: World, store: ObjectStore, restores: number): Promise<void> {
  const { ledger } = world;
  const vault = await world.open(store, 'other');
  for (let restore = 0; restore < restores; restore++) {
    await world.linger(store, 40);
    const point = world.drawFrom(ledger.kept);
    if (point === undefined) {
      continue;
    }
    try {
      await expectRestored(world, vault, point, 'meanwhile');
    } catch (error) {
      if (isFault(error, 'store.unreachable')) {
        throw error;
      }
      if (!ledger.isRetired(point.id)) {
        ledger.problem(`${point.id} could not be read meanwhile: ${describe(error)}`);
      }
    }
  }
}

/** Restores a point; it is a problem if a sector is not what it should be. */
export async function expectRestored(
  { ledger, signal }: World,
  vault: Vault,
  { id, image }: Pick<Promised, 'id' | 'image'>,
  when: string,
): Promise<void> {
  for (const [index, contents] of image.entries()) {
    const disk = new MemoryDisk(diskOf(contents).size);
    const source = { pointId: id, diskId: `disk-${String(index)}` };
    await vault.restoreDisk(source, disk.writer(), { signal });
    const sector = firstDifference(disk, contents);
    if (sector !== undefined) {
      ledger.problem(`${id} ${when}: sector ${String(sector)} of disk ${String(index)} is wrong`);
    }
  }
}

export function describe(error: unknown): string {
  return isFault(error) ? `${error.code}: ${error.message}` : String(error);
}
