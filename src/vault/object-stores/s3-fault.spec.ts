import { isFault } from '../../kernel/fault.ts';
import { faultOfS3Error, isNoSuchObject, isRangeBehindEnd } from './s3-fault.ts';

function answer(status: number, name = 'UnknownError'): Error {
  return Object.assign(new Error('from the server'), {
    name,
    $metadata: { httpStatusCode: status },
  });
}

function codeOf(error: unknown): string | undefined {
  const fault = faultOfS3Error(error, 's3://vault/');
  return isFault(fault) ? fault.code : undefined;
}

describe('faultOfS3Error', () => {
  it.each([
    [answer(403, 'AccessDenied'), 'store.denied'],
    [answer(401), 'store.denied'],
    [answer(403, 'RequestTimeTooSkewed'), 'store.denied'],
    [answer(403, 'QuotaExceeded'), 'store.full'],
    [answer(400, 'XMinioAdminBucketQuotaExceeded'), 'store.full'],
    [answer(507, 'XMinioStorageFull'), 'store.full'],
    [answer(507), 'store.full'],
    [answer(404, 'NoSuchBucket'), 'store.bucket-missing'],
    [answer(301, 'PermanentRedirect'), 'store.invalid-location'],
    [answer(400, 'AuthorizationHeaderMalformed'), 'store.invalid-location'],
    [answer(400, 'XAmzContentSHA256Mismatch'), 'store.hash-mismatch'],
    [answer(400, 'RequestTimeout'), 'store.unreachable'],
    [answer(429), 'store.unreachable'],
    [answer(500, 'InternalError'), 'store.unreachable'],
    [answer(503, 'SlowDown'), 'store.unreachable'],
    [answer(501, 'NotImplemented'), 'store.refused'],
    [answer(400, 'InvalidArgument'), 'store.refused'],
  ])('%s is %s', (error, code) => {
    expect(codeOf(error)).toBe(code);
  });

  it('takes a line that breaks for an outage, and a wrong certificate for a refusal', () => {
    const system = (code: string): Error => Object.assign(new Error(code), { code });

    expect(codeOf(system('ECONNRESET'))).toBe('store.unreachable');
    expect(codeOf(system('EAI_AGAIN'))).toBe('store.unreachable');
    expect(codeOf(new Error('AWS SDK error wrapper for Error: x'))).toBe('store.unreachable');
    expect(codeOf(system('DEPTH_ZERO_SELF_SIGNED_CERT'))).toBe('store.refused');
    expect(codeOf(system('ERR_TLS_CERT_ALTNAME_INVALID'))).toBe('store.refused');
  });

  it('leaves bugs alone', () => {
    for (const bug of [new TypeError('x is undefined'), 'no error']) {
      expect(faultOfS3Error(bug, 's3://vault/')).toBe(bug);
    }
  });
});

describe('answers that are no failures', () => {
  it('knows a missing object, with and without a code', () => {
    expect(isNoSuchObject(answer(404, 'NoSuchKey'))).toBe(true);
    expect(isNoSuchObject(answer(404, 'NotFound'))).toBe(true);
    expect(isNoSuchObject(answer(404, 'NoSuchBucket'))).toBe(false);
    expect(isNoSuchObject(answer(403))).toBe(false);
  });

  it('knows a range behind the end', () => {
    expect(isRangeBehindEnd(answer(416, 'InvalidRange'))).toBe(true);
    expect(isRangeBehindEnd(answer(404))).toBe(false);
  });
});
