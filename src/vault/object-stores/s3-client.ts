import { S3Client } from '@aws-sdk/client-s3';
import { Fault } from '../../kernel/fault.ts';

export interface S3Options {
  /** For servers other than AWS: `https://host:port`. */
  readonly endpoint?: string;
  /** Default: what the AWS settings of this machine say; with an endpoint `us-east-1`. */
  readonly region?: string;
  /** Of the shared AWS files; for a second account beside the one of the environment. */
  readonly profile?: string;
  /** Default: the standard AWS chain (environment, shared files, web identity, machine role). */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  /** How long a connection may take to open, and how long it may be silent. */
  readonly connectionTimeoutMs?: number;
  readonly silenceTimeoutMs?: number;
  /** How often the client itself tries, within a second or so. */
  readonly attempts?: number;
}

/**
 * Enough for the ranged reads of a restore and two packs under way; more only queue at the server.
 */
const CONNECTIONS_MAX = 64;
const CONNECTION_TIMEOUT_MS = 10_000;
const SILENCE_TIMEOUT_MS = 60_000;

/** What servers that do not care about regions expect in a signature. */
const REGION_OF_ENDPOINTS = 'us-east-1';

/** Attempts of the SDK itself, within a second or so. Longer outages are RetryingObjectStore's. */
const ATTEMPTS = 5;

const SILENT = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/**
 * A client with the settings that all S3 servers we know agree on.
 *
 * @throws Fault `store.invalid-location` if neither the options nor the machine name a region
 */
export async function connectS3(options: S3Options): Promise<S3Client> {
  const client = clientOf(options);
  try {
    await client.config.region();
    return client;
  } catch (cause) {
    client.destroy();
    if (options.endpoint !== undefined) {
      return clientOf({ ...options, region: REGION_OF_ENDPOINTS });
    }
    throw new Fault(
      'store.invalid-location',
      'No region is known for the bucket. Give --region, or --endpoint for a server of your own.',
      {},
      { cause },
    );
  }
}

function clientOf(options: S3Options): S3Client {
  const { endpoint, region, profile, credentials } = options;
  const silenceTimeoutMs = options.silenceTimeoutMs ?? SILENCE_TIMEOUT_MS;
  const agent = { keepAlive: true, maxSockets: CONNECTIONS_MAX };
  return new S3Client({
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(profile === undefined ? {} : { profile }),
    ...(credentials === undefined ? {} : { credentials }),
    forcePathStyle: true,
    maxAttempts: options.attempts ?? ATTEMPTS,
    // Older MinIO and Ceph answer 411 or 400 to the trailing checksums that are the default.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // The default costs a round trip for every put.
    expectContinueHeader: false,
    logger: SILENT,
    requestHandler: {
      connectionTimeout: options.connectionTimeoutMs ?? CONNECTION_TIMEOUT_MS,
      socketTimeout: silenceTimeoutMs,
      requestTimeout: silenceTimeoutMs,
      // Without it the timeout only prints a warning.
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
      logger: SILENT,
    },
  });
}
