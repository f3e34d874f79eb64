import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { MemoryObjectStore } from '../support/vault/memory-object-store.ts';
import { diesAfterWrites, FaultyObjectStore } from '../support/vault/faulty-object-store.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../support/vault/vault-lab.ts';

/** More writes than a backup of the test has. */
const WRITES_MAX = 60;

async function stored(store: MemoryObjectStore): Promise<number> {
  let total = 0;
  for await (const { size } of store.list('d/', signal)) {
    total += size;
  }
  return total;
}

describe.each([{ cached: false }, { cached: true }])(
  'a vault whose writer dies after any write (footers cached: $cached)',
  ({ cached }) => {
    let cacheFolder: string | undefined;

    beforeEach(async () => {
      cacheFolder = cached ? await mkdtemp(join(tmpdir(), 'hyperkeep-crash-')) : undefined;
    });

    afterEach(async () => {
      if (cacheFolder !== undefined) {
        await rm(cacheFolder, { recursive: true });
      }
    });

    it('restores earlier points, takes the next one and sends nothing twice', async () => {
      let died = true;
      for (let writes = 0; died; writes++) {
        expect(writes).toBeLessThan(WRITES_MAX);
        const store = new MemoryObjectStore();
        const options = cacheFolder === undefined ? {} : { cacheFolder };
        const { vault } = await createVault(store, options);
        const disk = new MemoryDisk(3_000_000);
        disk.write(0, seededBytes('first', 1_000_000));
        const first = await backUp(vault, disk);
        const before = await fingerprint(disk.reader());
        const sentFirst = await stored(store);
        disk.write(1_500_000, seededBytes('second', 1_200_000));
        const extents = [{ offset: 1_500_000, length: 1_200_000, content: 'data' }] as const;
        const changes = { method: 'changed-extents', extents } as const;

        const dying = new FaultyObjectStore(store, diesAfterWrites(writes));
        const doomed = await openVault(dying, options);
        died = await backUp(doomed, disk, { changes }).then(
          () => false,
          (error: unknown) => Error.isError(error) && error.name === 'ProcessDied',
        );

        const next = await openVault(store, options);
        const points = await next.points(signal);
        expect(points.length).toBe(died ? 1 : 2);
        const back = await restored(next, first, disk.size);
        expect(await fingerprint(back.reader())).toBe(before);
        const again = await backUp(next, disk, {
          changes: died ? changes : { method: 'changed-extents', extents: [] },
        });
        expect(again.parentId).toBe(points.at(-1)?.id);
        const after = await restored(next, again, disk.size);
        expect(await fingerprint(after.reader())).toBe(await fingerprint(disk.reader()));
        expect((await next.verify(again.id, 3, { signal })).problems).toEqual([]);
        // All new content was stored once: random bytes do not compress.
        expect((await stored(store)) - sentFirst).toBeLessThan(1_200_000 * 1.03);
      }
    });
  },
);
