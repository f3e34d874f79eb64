import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import { probeStore } from '../../../src/vault/probe/store-probe.ts';
import { openS3TestServer, type S3TestServer } from '../../support/s3/minio.ts';

const signal = new AbortController().signal;
const options = { clock: new SystemClock(), largeBytes: 64 * 1024 * 1024, lockMs: 4000 };

describe('trying what an S3 server can do', () => {
  let server: S3TestServer;

  beforeAll(async () => {
    server = await openS3TestServer();
  });

  afterAll(async () => {
    await server.stop();
  });

  async function tryBucket(lock: boolean): Promise<{
    findings: Record<string, string>;
    left: string[];
  }> {
    const client = await connectS3(server.options);
    const bucket = lock ? `${server.bucket}-lock` : server.bucket;
    if (lock) {
      await client.send(
        new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }),
      );
    }
    const store = new S3ObjectStore(client, { bucket, prefix: 'vault/' });
    const { findings, leftovers, clockSkewMs } = await probeStore(store, options, signal);
    expect(leftovers).toBe(0);
    expect(Math.abs(clockSkewMs ?? Infinity)).toBeLessThan(5000);
    const left = await Array.fromAsync(store.features.listVersions('', signal));
    await store.close();
    const verdicts = Object.entries(findings).map(([name, finding]) => [
      name,
      [finding.verdict, finding.detail].join(' ').trim(),
    ]);
    return {
      findings: Object.fromEntries(verdicts) as Record<string, string>,
      left: left.map(({ key }) => key),
    };
  }

  it('sees all that a plain bucket does, and no locks', async () => {
    const { findings, left } = await tryBucket(false);

    expect(left).toEqual([]);
    expect(findings).toEqual({
      'put-get': 'yes',
      ranges: 'yes',
      'read-after-put': 'yes',
      'list-after-put': 'yes',
      'list-order': 'yes',
      remove: 'yes',
      'large-object': 'yes',
      'hash-refused': 'yes',
      'if-absent': 'yes',
      versions: 'no versioning is off',
      'lock-governance': 'no object lock is not enabled here',
      'lock-compliance': 'no object lock is not enabled here',
    });
  });

  it('sees locks that refuse, and leaves nothing behind once they have ended', async () => {
    const { findings, left } = await tryBucket(true);

    expect(left).toEqual([]);
    expect(findings).toMatchObject({
      versions: 'yes',
      'lock-governance': 'yes these credentials may bypass it',
      'lock-compliance': 'yes',
    });
  });
});
