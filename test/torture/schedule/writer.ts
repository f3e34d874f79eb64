import { retireKey } from '../../../src/vault/format/object-names.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { changesBetween, diskOf, DISKS, drawContent, type Image } from '../lab.ts';
import type { World } from './world.ts';

/** Backs a VM up, again and again, with some sectors changed each time. */
export async function write(
  world: World,
  store: ObjectStore,
  vmId: string,
  backups: number,
): Promise<void> {
  const { random } = world;
  // A slow seal: the time between W1 and W3 is short otherwise.
  const put = store.put.bind(store);
  store.put = async (key, ...rest) => {
    await world.linger(store, key.endsWith('.ok') && random(3) === 0 ? 60 : 1);
    return put(key, ...rest);
  };
  const vault = await world.open(store, 'writer');
  const image = world.ledger.lastImage(vmId);
  for (let backup = 0; backup < backups; backup++) {
    for (let change = random(8); change >= 0; change--) {
      const disk = image[random(DISKS)] ?? [];
      disk[random(disk.length)] = drawContent(random);
    }
    const now = image.map((disk) => [...disk]);
    await backUp(world, { vault, store }, vmId, now);
  }
}

async function backUp(
  world: World,
  { vault, store }: { readonly vault: Vault; readonly store: ObjectStore },
  vmId: string,
  image: Image,
): Promise<void> {
  const { random, signal, ledger } = world;
  const note = ledger.attempt(image);
  await using writer = await vault.beginPoint({ vmId, vmName: vmId }, signal);
  const before = ledger.attempted(writer.parent?.notes[0]);
  for (const [index, contents] of image.entries()) {
    const disk = diskOf(contents);
    const isTracked = before !== undefined && random(3) > 0;
    await writer.addDisk(
      {
        diskId: `disk-${String(index)}`,
        name: `disk ${String(index)}`,
        sizeBytes: disk.size,
        reader: disk.reader(),
        changes: isTracked
          ? { method: 'changed-extents', extents: changesBetween(before[index] ?? [], contents) }
          : { method: 'full', reason: 'requested' },
      },
      { signal },
    );
  }
  await world.linger(store, random(3) === 0 ? 80 : 1);
  const facts = { takenAtMs: 1, consistency: 'crash', notes: [note], configuration: {} } as const;
  const { id } = await writer.commit(facts, signal);
  ledger.promise({ vmId, id, image });
  if (world.scheduler.bucket.get(retireKey(vmId, id)) !== undefined) {
    ledger.problem(`success was reported for ${id}, which is retired`);
  }
}
