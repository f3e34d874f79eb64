import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import { CountingProxy } from '../../support/s3/counting-proxy.ts';
import { openS3TestServer } from '../../support/s3/minio.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { backUp, createVault, signal } from '../../support/vault/vault-lab.ts';

const MIB = 1024 * 1024;
const TIB = 2 ** 40;

async function sizes(store: S3ObjectStore, prefix: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { size } of store.list(prefix, signal)) {
    found.push(size);
  }
  return found.sort((a, b) => b - a);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** `npm run soak -- requests` does the same with gigabytes and the command line. */
describe('requests, counted on the wire', () => {
  it('are few for what is stored first, and 4 PUT and 7 LIST for a small increment', async () => {
    const server = await openS3TestServer();
    const proxy = await CountingProxy.to(server.options.endpoint);
    try {
      const client = await connectS3({ ...server.options, endpoint: proxy.endpoint });
      const store = new S3ObjectStore(client, { bucket: server.bucket, prefix: '' });
      const parameters = { packBytes: 64 * MIB };
      const { vault } = await createVault(store, { workers: 2, parameters });
      const disk = new MemoryDisk(1024 * MIB);
      disk.write(5 * MIB, seededBytes('requests', 140 * MIB));
      proxy.take();
      await backUp(vault, disk);

      const { PUT: puts = 0, LIST: lists = 0 } = proxy.take();
      const data = await sizes(store, 'd/');
      const metadata = await sizes(store, 'm/');
      expect(puts).toBe(data.length + metadata.length + 2);
      expect(lists).toBe(8);
      // The last pack is as large as what was left; the others are what a terabyte consists of.
      const full = data.slice(0, -1);
      expect(full.length).toBeGreaterThan(0);
      const metadataShare = sum(metadata) / sum(data) / (8 * MIB);
      expect(TIB / (sum(full) / full.length) + TIB * metadataShare).toBeLessThan(17_000);

      disk.write(77 * MIB, seededBytes('increment', MIB));
      const extents = [{ offset: 77 * MIB, length: MIB, content: 'data' as const }];
      proxy.take();
      await backUp(vault, disk, { changes: { method: 'changed-extents', extents } });
      const increment = proxy.take();
      expect(increment).toMatchObject({ PUT: 4, LIST: 7 });
      expect(increment['GET']).toBeLessThan(10);
      expect(Object.keys(increment).sort()).toEqual(['GET', 'LIST', 'PUT']);
      await vault.close();
      await store.close();
    } finally {
      await proxy.close();
      await server.stop();
    }
  });
});
