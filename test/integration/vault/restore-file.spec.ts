import { mkdtemp, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { createImage } from '../../../src/formats/image.ts';
import type { ObjectKey } from '../../../src/vault/store/object-store.ts';
import { DirectoryObjectStore } from '../../../src/vault/object-stores/folder/directory.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { backUp, createVault, DISK, signal } from '../../support/vault/vault-lab.ts';

const SIZE_BYTES = 70_000_001;
const WRITTEN = [0, 1_000_000, 40_000_000, 66_900_000, SIZE_BYTES - 300_000];

/** A store whose local files are not where it says. */
class MovedStore extends DirectoryObjectStore {
  override localFile(key: ObjectKey): string {
    return `${super.localFile(key)}.moved`;
  }
}

describe('restoring to a raw file, which workers write themselves', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hyperkeep-restore-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  let opened: Vault | undefined;
  afterEach(async () => {
    await opened?.close();
  });

  async function setUp(Store: typeof DirectoryObjectStore) {
    const store = new Store(join(folder, 'vault'));
    const { vault } = await createVault(store, { workers: 2 });
    opened = vault;
    const disk = new MemoryDisk(SIZE_BYTES);
    for (const offset of WRITTEN) {
      disk.write(offset, seededBytes(`at ${offset}`, 300_000));
    }
    const point = await backUp(vault, disk);
    const path = join(folder, 'disk.raw');
    return { vault, store, disk, place: { pointId: point.id, diskId: DISK }, path };
  }

  it.each([
    ['from local packs', DirectoryObjectStore],
    ['from packs that are not where they were said to be', MovedStore],
  ])('gives every byte and leaves holes, %s', async (_what, Store) => {
    const { vault, disk, place, path } = await setUp(Store);
    {
      await using writer = await createImage(path, 'raw', SIZE_BYTES, signal);
      const { writtenBytes } = await vault.restoreDisk(place, writer, { signal });
      expect(writtenBytes).toBeLessThan(WRITTEN.length * 320_000);
    }

    const expected = new Uint8Array(SIZE_BYTES);
    await disk.reader().read(0, expected, signal);
    expect(Buffer.compare(await readFile(path), expected)).toBe(0);
    expect((await stat(path)).blocks * 512).toBeLessThan(WRITTEN.length * 400_000);
  });

  it('writes nothing of a damaged frame', async () => {
    const { vault, store, place, path } = await setUp(DirectoryObjectStore);
    for await (const { key } of store.list('d/', signal)) {
      await using pack = await open(store.localFile(key), 'r+');
      await pack.write(Buffer.from('damage'), 0, 6, 1000);
    }

    const restore = async (): Promise<void> => {
      await using writer = await createImage(path, 'raw', SIZE_BYTES, signal);
      await vault.restoreDisk(place, writer, { signal });
    };
    await expect(restore()).rejects.toMatchObject({ code: 'vault.chunk-corrupt' });
    expect((await stat(path)).blocks).toBe(0);
  });

  it('says what the writer says when workers may not write', async () => {
    const { vault, disk, place, path } = await setUp(DirectoryObjectStore);
    const writer = await createImage(path, 'raw', SIZE_BYTES, signal);
    // The writer has its file open, but opening it by name fails.
    const away = `${writer.rawFile ?? ''}.away`;
    await rename(writer.rawFile ?? '', away);
    await vault.restoreDisk(place, writer, { signal });

    const expected = new Uint8Array(SIZE_BYTES);
    await disk.reader().read(0, expected, signal);
    expect(Buffer.compare(await readFile(away), expected)).toBe(0);
    await rename(away, writer.rawFile ?? '');
    await writer.close();
  });
});
