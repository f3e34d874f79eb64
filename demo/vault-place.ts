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
  /** Ends the server of a bucket as a power cut does. @returns what starts it again */
  goAway(): Promise<() => Promise<void>>;
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
      goAway: async () => {
        throw new Error('A folder has no server.');
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const dataFolder = join(folder, 'minio');
  let server = await startMinio({ dataFolder });
  await createBucket(server);
  return {
    location: `s3://${BUCKET}/vault`,
    words: ['--endpoint', server.endpoint],
    environment: {
      AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
      AWS_REGION: REGION,
    },
    goAway: async () => {
      const { credentials, endpoint } = server;
      await server.stop();
      return async () => {
        const port = Number(new URL(endpoint).port);
        server = await startMinio({ dataFolder, credentials, port });
      };
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
