import { Fault, isFault, systemCode, type FaultCode } from '../../kernel/fault.ts';

interface S3Error {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
}

interface Meaning {
  readonly code: FaultCode;
  /** Follows the location; ends with what to do. */
  readonly text: string;
}

const DENIED: Meaning = {
  code: 'store.denied',
  text: 'refuses these credentials. Check the AWS settings and the policy of the bucket.',
};
const FULL: Meaning = { code: 'store.full', text: 'has no space left. Make room and repeat.' };
const MISMATCH: Meaning = {
  code: 'store.hash-mismatch',
  text: 'received other bytes than were sent. Nothing was stored; test memory and network.',
};
const WRONG_REGION: Meaning = {
  code: 'store.invalid-location',
  text: 'is in another region. Give the right one with --region.',
};

/** Error names that say more than their HTTP status. */
const BY_NAME: Readonly<Record<string, Meaning>> = {
  NoSuchBucket: { code: 'store.bucket-missing', text: 'does not exist. Create the bucket first.' },
  CredentialsProviderError: {
    code: 'store.denied',
    text: 'needs credentials and none were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile.',
  },
  InvalidAccessKeyId: DENIED,
  // versitygw, with the status 404.
  XAdminUserNotFound: DENIED,
  RequestTimeTooSkewed: {
    code: 'store.denied',
    text: 'refuses requests because the clock of this machine is wrong. Set it and repeat.',
  },
  QuotaExceeded: FULL,
  XMinioStorageFull: FULL,
  XMinioAdminBucketQuotaExceeded: FULL,
  InsufficientStorage: FULL,
  EntityTooLarge: { code: 'store.refused', text: 'does not take objects of this size.' },
  XAmzContentSHA256Mismatch: MISMATCH,
  XAmzContentChecksumMismatch: MISMATCH,
  BadDigest: MISMATCH,
  PermanentRedirect: WRONG_REGION,
  AuthorizationHeaderMalformed: WRONG_REGION,
  InvalidBucketName: {
    code: 'store.invalid-location',
    text: 'is no valid name of a bucket.',
  },
  RequestTimeout: { code: 'store.unreachable', text: 'did not receive a request in time.' },
  TimeoutError: { code: 'store.unreachable', text: 'did not answer in time.' },
};

/** Node codes of a server whose certificate is not trusted: repeating does not help. */
const UNTRUSTED = /CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_VERIFY/;

/** What an error of the S3 client means; the error itself if it is a bug. */
export function faultOfS3Error(error: unknown, location: string): unknown {
  if (isFault(error)) {
    // Found in an answer by who read it.
    return error;
  }
  const said = readError(error);
  const code = systemCode(error);
  const meaning =
    BY_NAME[said.name] ?? meaningOfStatus(said.status) ?? meaningWithoutAnswer(said, code);
  if (meaning === undefined) {
    return error;
  }
  const detail = [said.name, said.status, code].filter((word) => word !== undefined).join(' ');
  return new Fault(
    meaning.code,
    `${location} ${meaning.text} (${detail})`,
    { location, answer: detail },
    { cause: error },
  );
}

/** True for the answer to a get of an object that is not there, in a bucket that is. */
export function isNoSuchObject(error: unknown): boolean {
  const { name, status } = readError(error);
  return status === 404 && !Object.hasOwn(BY_NAME, name);
}

/** True if the server answered with this HTTP status. */
export function hasStatus(error: unknown, status: number): boolean {
  return readError(error).status === status;
}

/** True if the object has no byte in the range that was asked for. */
export function isRangeBehindEnd(error: unknown): boolean {
  return readError(error).status === 416;
}

function readError(error: unknown): S3Error {
  if (!Error.isError(error)) {
    return { name: '', message: String(error), status: undefined };
  }
  const { $metadata: metadata, Code: code } = error as {
    $metadata?: { httpStatusCode?: number };
    Code?: unknown;
  };
  const name = typeof code === 'string' ? code : error.name;
  return { name, message: error.message, status: metadata?.httpStatusCode };
}

function meaningOfStatus(status: number | undefined): Meaning | undefined {
  if (status === undefined || status < 300) {
    return undefined;
  }
  if (status === 401 || status === 403) {
    return DENIED;
  }
  if (status === 507) {
    return FULL;
  }
  if (status === 408 || status === 429 || (status >= 500 && status !== 501)) {
    return { code: 'store.unreachable', text: 'cannot answer now.' };
  }
  return status < 400 ? WRONG_REGION : { code: 'store.refused', text: 'refuses a request.' };
}

/** The error of a request that got no answer, unless it never left because of a bug. */
function meaningWithoutAnswer(said: S3Error, code: string | undefined): Meaning | undefined {
  // The SDK may wrap a system error in an Error that has nothing but a message.
  const isBug = code === undefined ? said.name !== 'Error' : code.startsWith('ERR_INVALID_ARG');
  if (isBug) {
    return undefined;
  }
  return UNTRUSTED.test(code ?? said.message)
    ? {
        code: 'store.refused',
        text: 'has a certificate that is not trusted here. Set NODE_EXTRA_CA_CERTS to its authority.',
      }
    : { code: 'store.unreachable', text: 'does not answer.' };
}
