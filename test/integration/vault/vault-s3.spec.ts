import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import { openS3TestServer } from '../../support/s3/minio.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../support/vault/vault-lab.ts';

describe('a vault on S3', () => {
  it('takes packs straight from the memory the workers share, and gives the disk back', async () => {
    const server = await openS3TestServer();
    try {
      const client = await connectS3(server.options);
      const store = new S3ObjectStore(client, { bucket: server.bucket, prefix: 'vault/' });
      const parameters = { packBytes: 8 * 1024 * 1024 };
      const { vault } = await createVault(store, { workers: 2, parameters });
      const disk = new MemoryDisk(80_000_000);
      disk.write(1_000_000, seededBytes('s3', 30_000_000));
      const point = await backUp(vault, disk);
      await vault.close();

      const fresh = await openVault(store, { workers: 1 });
      const back = await restored(fresh, point, disk.size);
      const report = await fresh.verify(point.id, 3, { signal });
      await fresh.close();

      expect(await fingerprint(back.reader())).toBe(await fingerprint(disk.reader()));
      expect(report).toMatchObject({ ok: true, problems: [] });
      await store.close();
    } finally {
      await server.stop();
    }
  });
});
