import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { startMinio } from '../scripts/setup/minio.mjs';

const BUCKET = 'hyperkeep-demo';
const REGION = 'us-east-1';

/** Where the demo's vault lies, and what a command needs to reach it. */
export interface VaultPlace extends AsyncDisposable {
  readonly location: string;
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export async function openVaultPlace(
  folder: string,
  s3: boolean,
  signal: AbortSignal,
): Promise<VaultPlace> {
  signal.throwIfAborted();
  if (!s3) {
    return {
      location: join(folder, 'vault'),
      words: [],
      environment: {},
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const server = await startMinio({ dataFolder: join(folder, 'minio') });
  await createBucket(server);
  return {
    location: `s3://${BUCKET}/vault`,
    words: ['--endpoint', server.endpoint],
    environment: {
      AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
      AWS_REGION: REGION,
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

async function createBucket(server: Awaited<ReturnType<typeof startMinio>>): Promise<void> {
  const { endpoint, credentials } = server;
  const client = new S3Client({ endpoint, region: REGION, forcePathStyle: true, credentials });
  try {
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  } catch (error) {
    await server.stop();
    throw error;
  } finally {
    client.destroy();
  }
}
