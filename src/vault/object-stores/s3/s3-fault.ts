import { Fault, isFault, systemCode, type FaultCode } from '../../../kernel/fault.ts';

interface S3Error {
  /** Name of the error in the server's answer, or of what was thrown if the answer names none. */
  readonly name: string;
  /** Whether the answer is an error of S3, with a code. */
  readonly isNamed: boolean;
  readonly message: string;
  readonly status: number | undefined;
}

interface Meaning {
  readonly code: FaultCode;
  /** Follows the location in the message; ends with what to do. */
  readonly text: string;
}

const DENIED: Meaning = {
  code: 'store.denied',
  text: 'refuses these credentials. Check the AWS settings and the policy of the bucket.',
};
const EXPIRED: Meaning = {
  code: 'store.denied',
  text: 'refuses these credentials, which have expired. Renew them and repeat.',
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

const NONSENSE: Meaning = {
  code: 'store.nonsense',
  text: 'answers with something that is not S3. Look for a proxy or a page of somebody else on the way.',
};

/** Error names that say more than their HTTP status. */
const BY_NAME: Readonly<Record<string, Meaning>> = {
  NoSuchBucket: { code: 'store.bucket-missing', text: 'does not exist. Create the bucket first.' },
  CredentialsProviderError: {
    code: 'store.denied',
    text: 'needs credentials and none were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile.',
  },
  InvalidAccessKeyId: DENIED,
  ExpiredToken: EXPIRED,
  InvalidToken: EXPIRED,
  TokenRefreshRequired: EXPIRED,
  // versitygw sends this with status 404.
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
  IllegalLocationConstraintException: WRONG_REGION,
  InvalidBucketName: {
    code: 'store.invalid-location',
    text: 'is no valid name of a bucket.',
  },
  RequestTimeout: { code: 'store.unreachable', text: 'did not receive a request in time.' },
  TimeoutError: { code: 'store.unreachable', text: 'did not answer in time.' },
};

/** Node codes for a server whose certificate is not trusted: repeating does not help. */
const UNTRUSTED = /CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_VERIFY/;

/** Returns the fault for an error of the S3 client; a bug is returned as it is. */
export function faultOfS3Error(error: unknown, location: string): unknown {
  if (isFault(error)) {
    // The code that read the answer made this fault.
    return error;
  }
  const said = readError(error);
  const code = systemCode(error);
  const meaning =
    BY_NAME[said.name] ??
    meaningOfStatus(said) ??
    (said.status === undefined ? meaningWithoutAnswer(said, code) : NONSENSE);
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

/** Errors for an object, or a version of it, that does not exist. */
const ABSENT = ['NoSuchKey', 'NoSuchVersion', 'NoSuchObject'];

/**
 * True if a get says that the object does not exist, in a bucket that does. Only the error's name
 * tells: the page of a proxy has status 404 too.
 */
export function isNoSuchObject(error: unknown): boolean {
  const { name, isNamed, status } = readError(error);
  return status === 404 && isNamed && ABSENT.includes(name);
}

/** True for an S3 error with status 404, unless it is about the bucket or the account. */
export function isNotFound(error: unknown): boolean {
  const { name, isNamed, status } = readError(error);
  return status === 404 && isNamed && !Object.hasOwn(BY_NAME, name);
}

/** True if the server answered with this HTTP status. */
export function hasStatus(error: unknown, status: number): boolean {
  return readError(error).status === status;
}

/** True if the object has no byte in the requested range. */
export function isRangeBehindEnd(error: unknown): boolean {
  return readError(error).status === 416;
}

function readError(error: unknown): S3Error {
  if (!Error.isError(error)) {
    return { name: '', isNamed: false, message: String(error), status: undefined };
  }
  const { $metadata: metadata, Code: code } = error as {
    $metadata?: { httpStatusCode?: number };
    Code?: unknown;
  };
  const isNamed = typeof code === 'string';
  const name = isNamed ? code : error.name;
  return { name, isNamed, message: error.message, status: metadata?.httpStatusCode };
}

function meaningOfStatus({ status, isNamed }: S3Error): Meaning | undefined {
  if (status === undefined || status < 300) {
    return undefined;
  }
  if (!isNamed && (status === 404 || status < 400)) {
    // S3 errors have a name; pages of other programs have none.
    return NONSENSE;
  }
  const meaning = { 401: DENIED, 403: DENIED, 507: FULL }[status];
  if (meaning !== undefined) {
    return meaning;
  }
  if (status === 408 || status === 429 || (status >= 500 && status !== 501)) {
    return { code: 'store.unreachable', text: 'cannot answer now.' };
  }
  return status < 400 ? WRONG_REGION : { code: 'store.refused', text: 'refuses a request.' };
}

/**
 * Returns the meaning of a request without an answer; undefined if a bug kept it from being sent.
 */
function meaningWithoutAnswer(said: S3Error, code: string | undefined): Meaning | undefined {
  // The SDK may wrap a system error in an Error that has only a message.
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
