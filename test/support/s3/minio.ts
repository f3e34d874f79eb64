import { CreateBucketCommand, DeleteBucketCommand } from '@aws-sdk/client-s3';
import { randomBytes } from 'node:crypto';
import { startMinio } from '../../../scripts/setup/minio.mjs';
import { connectS3, type S3Options } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';

/** A real S3 server with an empty bucket. */
export interface S3TestServer {
  readonly options: S3Options & { readonly endpoint: string };
  readonly bucket: string;
  /** Removes the bucket, and the server if it was started here. */
  stop(): Promise<void>;
}

/**
 * Opens the server of `S3_TEST_ENDPOINT` (credentials from the AWS settings), or else starts a
 * MinIO. If there is none, throws an error with the line that installs one.
 */
export async function openS3TestServer(): Promise<S3TestServer> {
  const bucket = `hyperkeep-test-${randomBytes(6).toString('hex')}`;
  const given = process.env['S3_TEST_ENDPOINT'];
  if (given !== undefined && given !== '') {
    const options = { endpoint: given };
    await createBucket(options, bucket);
    return { options, bucket, stop: () => removeBucket(options, bucket) };
  }
  const server = await startMinio();
  const { endpoint, credentials } = server;
  const options = { endpoint, credentials, region: 'us-east-1' };
  try {
    await createBucket(options, bucket);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return { options, bucket, stop: () => server.stop() };
}

async function createBucket(options: S3Options, bucket: string): Promise<void> {
  const client = await connectS3(options);
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
}

async function removeBucket(options: S3Options, bucket: string): Promise<void> {
  const { signal } = new AbortController();
  const client = await connectS3(options);
  const store = new S3ObjectStore(client, { bucket, prefix: '' });
  for await (const { key } of store.list('', signal)) {
    await store.remove(key, signal);
  }
  await client.send(new DeleteBucketCommand({ Bucket: bucket }));
  client.destroy();
}
