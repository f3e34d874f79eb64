import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  openVault,
  signal,
  VM,
} from '../../../test/support/vault/vault-lab.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { Holds } from '../points/holds.ts';
import { VaultCopy } from '../copy/vault-copy.ts';
import { holdKey, numberedKey, pointKey, PREFIXES, retireKey, sealKey } from './object-names.ts';
import { objectBytesMax } from './object-limit.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';

/** One byte more than an object of that key may have. */
function oversized(key: string): Uint8Array {
  return new Uint8Array(objectBytesMax(key) + 1);
}

describe('an object that is larger than any of its kind', () => {
  it('is damage of itself and hides nothing else', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const disk = new MemoryDisk(100_000);
    disk.write(0, seededBytes('limits', 50_000));
    const point = await backUp(vault, disk);
    const foreign = '01J0000000000000000000000A';
    const keys = [
      pointKey(VM.vmId, foreign),
      sealKey(VM.vmId, foreign),
      retireKey(VM.vmId, foreign),
      holdKey(VM.vmId, foreign),
      numberedKey(PREFIXES.keys, 999_999),
      numberedKey(PREFIXES.aliases, 1),
    ];
    for (const key of keys) {
      await store.put(key, oversized(key), signal);
    }

    const again = await openVault(store);
    expect((await again.points(signal)).map(({ id }) => id)).toEqual([point.id]);
    const { base, log, points } = again.inside;
    expect(await new Holds(base, log).list(signal)).toEqual([]);
    expect(await points.standing({ vmId: VM.vmId, id: foreign }, signal)).toBe('doubtful');
    await expect(again.point(foreign, signal)).rejects.toMatchObject({
      code: 'vault.point-corrupt',
    });
    await backUp(again, disk);
    const target = new MemoryObjectStore();
    const copied = new VaultCopy({ source: store, target, clock: new SystemClock() });
    // A copy does not look at the seal of a point that it does not copy.
    const named = keys.filter((key) => key !== sealKey(VM.vmId, foreign)).toSorted();
    expect((await copied.run({ signal })).damaged.toSorted()).toEqual(named);
    expect(await (await openVault(target)).points(signal)).toHaveLength(2);
    expect(await again.points(signal)).toHaveLength(2);
  });
});
