import { S3Client } from '@aws-sdk/client-s3';
import { Fault } from '../../../kernel/fault.ts';

export interface S3Options {
  /** For servers other than AWS: `https://host:port`. */
  readonly endpoint?: string;
  /** Default: from the AWS settings of this machine; with an endpoint `us-east-1`. */
  readonly region?: string;
  /** Profile in the shared AWS files, for a second account besides that of the environment. */
  readonly profile?: string;
  /** Default: the standard AWS chain (environment, shared files, web identity, machine role). */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  /** How long a connection may take to open and may stay silent. */
  readonly connectionTimeoutMs?: number;
  readonly silenceTimeoutMs?: number;
  /** How often the client itself tries, within about a second. */
  readonly attempts?: number;
}

/**
 * Enough for the ranged reads of a restore and two packs at a time; more would queue at the server.
 */
const CONNECTIONS_MAX = 64;
const CONNECTION_TIMEOUT_MS = 10_000;
const SILENCE_TIMEOUT_MS = 60_000;

/** Region that servers without regions expect in a signature. */
const REGION_OF_ENDPOINTS = 'us-east-1';

/**
 * Attempts of the SDK itself, within about a second. RetryingObjectStore handles longer outages.
 */
const ATTEMPTS = 5;

const SILENT = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/**
 * Makes a client with settings that all S3 servers we know accept.
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
    // Older MinIO and Ceph refuse the default, trailing checksums, with 411 or 400.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // The default costs a round trip per put.
    expectContinueHeader: false,
    logger: SILENT,
    requestHandler: {
      connectionTimeout: options.connectionTimeoutMs ?? CONNECTION_TIMEOUT_MS,
      socketTimeout: silenceTimeoutMs,
      requestTimeout: silenceTimeoutMs,
      // Without this the timeout only prints a warning.
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
      logger: SILENT,
    },
  });
}
