import { seededBytes } from '../../support/random/seeded-bytes.ts';
import {
  failsSometimes,
  FaultyObjectStore,
  type Failure,
} from '../../support/vault/faulty-object-store.ts';
import {
  backUp,
  createVault,
  fingerprint,
  restored,
  signal,
} from '../../support/vault/vault-lab.ts';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { MemoryObjectStore } from '../../support/vault/memory-object-store.ts';
import { MeteredObjectStore } from '../../../src/vault/object-stores/metered.ts';
import { RetryingObjectStore } from '../../../src/vault/object-stores/retrying.ts';

const DISK_BYTES = 13_000_000;
const DATA_BYTES = 12_500_000;
/** Packs of the test's vaults hold 4 MiB: sending one twice would show. */
const OVERHEAD_BYTES_MAX = 1024 * 1024;

function filledDisk(): MemoryDisk {
  const disk = new MemoryDisk(DISK_BYTES);
  disk.write(0, seededBytes('outage', DATA_BYTES));
  return disk;
}

describe('a backup whose store fails', () => {
  it.each<{ title: string; failure: Failure; code: string }>([
    { title: 'is full', failure: 'full', code: 'store.full' },
    { title: 'refuses the credentials (403)', failure: 'denied', code: 'store.denied' },
    { title: 'is away for long', failure: 'unreachable', code: 'store.unreachable' },
  ])(
    'stops with $code when it $title, leaves no point, and goes on later without sending twice',
    async ({ failure, code }) => {
      const metered = new MeteredObjectStore(new MemoryObjectStore());
      const faulty = new FaultyObjectStore(metered);
      const { vault } = await createVault(faulty);
      const disk = filledDisk();
      let puts = 0;
      faulty.follow(({ kind, key }) => {
        puts += kind === 'put' && key.startsWith('d/') ? 1 : 0;
        return kind === 'put' && puts > 1 ? failure : undefined;
      });
      await expect(backUp(vault, disk)).rejects.toMatchObject({ code });
      expect(await vault.points(signal)).toEqual([]);

      faulty.follow(() => undefined);
      const point = await backUp(vault, disk);

      expect(puts).toBeGreaterThan(1);
      const sent = metered.traffic.sentBytes;
      expect(sent).toBeGreaterThan(DATA_BYTES);
      expect(sent).toBeLessThan(DATA_BYTES + OVERHEAD_BYTES_MAX);
      const copy = await restored(vault, point, DISK_BYTES);
      expect(await fingerprint(copy.reader())).toBe(await fingerprint(disk.reader()));
      await vault.close();
    },
  );

  it.each([1, 2, 3, 4, 5])(
    'heals by itself when requests fail now and then, before or after they took effect (seed %d)',
    async (seed) => {
      const faulty = new FaultyObjectStore(new MemoryObjectStore());
      const patient = new RetryingObjectStore(faulty, {
        patienceMs: 60_000,
        wait: async () => undefined,
        chance: () => 0.5,
      });
      const { vault } = await createVault(patient);
      const disk = filledDisk();
      faulty.follow(failsSometimes(0.3, seed));

      const point = await backUp(vault, disk);

      const copy = await restored(vault, point, DISK_BYTES);
      expect(await fingerprint(copy.reader())).toBe(await fingerprint(disk.reader()));
      expect((await vault.points(signal)).map(({ id }) => id)).toEqual([point.id]);
      await vault.close();
    },
  );

  it('is whole or not there when the answer to its seal is lost', async () => {
    const faulty = new FaultyObjectStore(new MemoryObjectStore());
    const { vault } = await createVault(faulty);
    const disk = filledDisk();
    faulty.follow(({ kind, key }) =>
      kind === 'put' && key.endsWith('.ok') ? 'unreachable-after' : undefined,
    );
    await expect(backUp(vault, disk)).rejects.toMatchObject({ code: 'store.unreachable' });

    faulty.follow(() => undefined);
    const [point] = await vault.points(signal);

    if (point !== undefined) {
      const copy = await restored(vault, point, DISK_BYTES);
      expect(await fingerprint(copy.reader())).toBe(await fingerprint(disk.reader()));
    }
    expect((await backUp(vault, disk)).parentId).toBe(point?.id);
    await vault.close();
  });
});
