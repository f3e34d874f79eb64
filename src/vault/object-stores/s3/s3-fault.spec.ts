import { Fault, isFault } from '../../../kernel/fault.ts';
import { faultOfS3Error, isNoSuchObject, isNotFound, isRangeBehindEnd } from './s3-fault.ts';

function answer(status: number, name = 'UnknownError'): Error {
  return Object.assign(new Error('from the server'), {
    name,
    // The SDK uses a name of its own if the server sent none.
    ...(['UnknownError', 'NotFound'].includes(name) ? {} : { Code: name }),
    $metadata: { httpStatusCode: status },
  });
}

function codeOf(error: unknown): string | undefined {
  const fault = faultOfS3Error(error, 's3://vault/');
  return isFault(fault) ? fault.code : undefined;
}

describe('faultOfS3Error', () => {
  it.each([
    ['AccessDenied', 403, 'store.denied'],
    ['UnknownError', 401, 'store.denied'],
    ['RequestTimeTooSkewed', 403, 'store.denied'],
    ['QuotaExceeded', 403, 'store.full'],
    ['XMinioAdminBucketQuotaExceeded', 400, 'store.full'],
    ['XMinioStorageFull', 507, 'store.full'],
    ['UnknownError', 507, 'store.full'],
    ['NoSuchBucket', 404, 'store.bucket-missing'],
    ['PermanentRedirect', 301, 'store.invalid-location'],
    ['AuthorizationHeaderMalformed', 400, 'store.invalid-location'],
    ['XAmzContentSHA256Mismatch', 400, 'store.hash-mismatch'],
    ['RequestTimeout', 400, 'store.unreachable'],
    ['UnknownError', 429, 'store.unreachable'],
    ['InternalError', 500, 'store.unreachable'],
    ['SlowDown', 503, 'store.unreachable'],
    ['ExpiredToken', 400, 'store.denied'],
    ['InvalidToken', 400, 'store.denied'],
    ['IllegalLocationConstraintException', 400, 'store.invalid-location'],
    ['UnknownError', 200, 'store.nonsense'],
    ['UnknownError', 302, 'store.nonsense'],
    ['NotFound', 404, 'store.nonsense'],
    ['NotImplemented', 501, 'store.refused'],
    ['InvalidArgument', 400, 'store.refused'],
  ])('%s %i is %s', (name, status, code) => {
    expect(codeOf(answer(status, name))).toBe(code);
  });

  it('takes a line that breaks for an outage, and a wrong certificate for a refusal', () => {
    const system = (code: string): Error => Object.assign(new Error(code), { code });

    expect(codeOf(system('ECONNRESET'))).toBe('store.unreachable');
    expect(codeOf(system('EAI_AGAIN'))).toBe('store.unreachable');
    expect(codeOf(new Error('AWS SDK error wrapper for Error: x'))).toBe('store.unreachable');
    expect(codeOf(system('DEPTH_ZERO_SELF_SIGNED_CERT'))).toBe('store.refused');
    expect(codeOf(system('ERR_TLS_CERT_ALTNAME_INVALID'))).toBe('store.refused');
  });

  it('leaves what was found in an answer as it is', () => {
    const found = new Fault('store.refused', 'answers with other bytes than it was asked for.');

    expect(faultOfS3Error(found, 's3://vault/')).toBe(found);
  });

  it('leaves bugs alone', () => {
    for (const bug of [new TypeError('x is undefined'), 'no error']) {
      expect(faultOfS3Error(bug, 's3://vault/')).toBe(bug);
    }
  });
});

describe('answers that are no failures', () => {
  it('knows a missing object by the name of the error, not by the status alone', () => {
    expect(isNoSuchObject(answer(404, 'NoSuchKey'))).toBe(true);
    expect(isNoSuchObject(answer(404, 'NoSuchVersion'))).toBe(true);
    expect(isNoSuchObject(answer(404, 'NotFound'))).toBe(false);
    expect(isNoSuchObject(answer(404, 'UnknownError'))).toBe(false);
    expect(isNotFound(answer(404, 'NoSuchObjectLockConfiguration'))).toBe(true);
    expect(isNotFound(answer(404, 'NotFound'))).toBe(false);
    expect(isNotFound(answer(404, 'NoSuchBucket'))).toBe(false);
    expect(isNoSuchObject(answer(404, 'NoSuchBucket'))).toBe(false);
    // versitygw does not know the account.
    expect(isNoSuchObject(answer(404, 'XAdminUserNotFound'))).toBe(false);
    expect(codeOf(answer(404, 'XAdminUserNotFound'))).toBe('store.denied');
    expect(isNoSuchObject(answer(403))).toBe(false);
  });

  it('knows a range behind the end', () => {
    expect(isRangeBehindEnd(answer(416, 'InvalidRange'))).toBe(true);
    expect(isRangeBehindEnd(answer(404))).toBe(false);
  });
});
