import { createHash } from 'node:crypto';
import { isFault } from '../../../src/kernel/fault.ts';
import { openObjectStore } from '../../../src/vault/object-stores/location.ts';
import { connectS3, type S3Options } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import { describeObjectStore } from '../../contract/object-store.contract.ts';
import { openS3TestServer, type S3TestServer } from '../../support/s3/minio.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { TcpProxy } from '../../support/s3/tcp-proxy.ts';

const { signal } = new AbortController();

let server: S3TestServer;
let prefixCount = 0;

async function open(prefix: string, options: S3Options = {}): Promise<S3ObjectStore> {
  const client = await connectS3({ ...server.options, ...options });
  return new S3ObjectStore(client, { bucket: server.bucket, prefix });
}

function newPrefix(): string {
  prefixCount += 1;
  return `vaults/${prefixCount}/`;
}

beforeAll(async () => {
  server = await openS3TestServer();
});

afterAll(async () => {
  await server.stop();
});

describeObjectStore('S3ObjectStore', () => open(newPrefix()));
describe('S3ObjectStore', () => {
  it('lists its own prefix alone, at the root of the bucket too', async () => {
    const own = await open('twins/a/');
    const other = await open('twins/ab/');
    await own.put('x', Uint8Array.of(1), signal);
    await other.put('x', Uint8Array.of(1), signal);
    const whole = await open('');

    const keysOf = async (store: S3ObjectStore, prefix: string) =>
      (await Array.fromAsync(store.list(prefix, signal))).map(({ key }) => key);

    expect(await keysOf(own, '')).toEqual(['x']);
    expect(await keysOf(whole, 'twins/')).toEqual(['twins/a/x', 'twins/ab/x']);
    for (const store of [own, other, whole]) {
      await store.close();
    }
  });

  it('has the server refuse what is not what its sender hashed', async () => {
    const store = await open(newPrefix());
    const data = seededBytes('wrong hash', 100_000);
    const sha256 = createHash('sha256').update('something else').digest();

    await expect(store.put('x', data, signal, { sha256 })).rejects.toMatchObject({
      code: 'store.hash-mismatch',
    });

    expect(await store.get('x', signal)).toBeUndefined();
    await store.close();
  });

  it('says that credentials are refused', async () => {
    const credentials = { accessKeyId: 'nobody', secretAccessKey: 'nothing-at-all' };
    const store = await open(newPrefix(), { credentials });

    for (const attempt of [
      () => store.put('x', Uint8Array.of(1), signal),
      () => store.get('x', signal),
      () => store.getRange('x', { offset: 0, length: 0 }, signal),
      () => store.remove('x', signal),
      () => Array.fromAsync(store.list('', signal)),
    ]) {
      await expect(attempt()).rejects.toMatchObject({ code: 'store.denied' });
    }
    await store.close();
  });

  it('says that the bucket does not exist', async () => {
    const client = await connectS3(server.options);
    const store = new S3ObjectStore(client, { bucket: 'hyperkeep-no-such-bucket', prefix: '' });

    for (const attempt of [
      () => store.put('x', Uint8Array.of(1), signal),
      () => store.get('x', signal),
      () => store.getRange('x', { suffix: 5 }, signal),
      () => store.remove('x', signal),
      () => Array.fromAsync(store.list('', signal)),
    ]) {
      await expect(attempt()).rejects.toMatchObject({ code: 'store.bucket-missing' });
    }
    await store.close();
  });

  it('says that nobody listens', async () => {
    const store = await open(newPrefix(), { endpoint: 'http://127.0.0.1:1' });

    await expect(store.get('x', signal)).rejects.toMatchObject({ code: 'store.unreachable' });
    await store.close();
  });
});

describe('S3ObjectStore over a bad line', () => {
  const data = seededBytes('bad line', 3 * 1024 * 1024);
  let proxy: TcpProxy;

  beforeEach(async () => {
    proxy = await TcpProxy.toEndpoint(server.options.endpoint);
  });

  afterEach(async () => {
    await proxy.cut();
  });

  async function openOverProxy(prefix = newPrefix()): Promise<S3ObjectStore> {
    return open(prefix, { endpoint: proxy.endpoint });
  }

  /** For requests that nobody answers: on a busy machine an answer may take longer than this. */
  async function openHasty(prefix: string): Promise<S3ObjectStore> {
    const endpoint = proxy.endpoint;
    return open(prefix, { endpoint, connectionTimeoutMs: 500, silenceTimeoutMs: 500 });
  }

  it('gives up on a server that is silent', async () => {
    const prefix = newPrefix();
    const store = await openOverProxy(prefix);
    await store.put('x', data, signal);
    await store.close();
    const hasty = await openHasty(prefix);
    proxy.set({ muteServer: true });

    for (const attempt of [
      () => hasty.get('x', signal),
      () => Array.fromAsync(hasty.list('', signal)),
    ]) {
      await expect(attempt()).rejects.toMatchObject({ code: 'store.unreachable' });
    }
    await hasty.close();
  });

  it('takes a put again that was done though nobody heard of it', async () => {
    const prefix = newPrefix();
    const hasty = await openHasty(prefix);
    proxy.set({ muteServer: true });
    await expect(hasty.put('x', data, signal)).rejects.toMatchObject({ code: 'store.unreachable' });
    await hasty.close();
    proxy.set({});

    const store = await openOverProxy(prefix);
    await store.put('x', data, signal);

    expect(Buffer.from((await store.get('x', signal)) ?? []).equals(data)).toBe(true);
    await store.close();
  });

  it('never takes part of an object for the whole', async () => {
    const store = await openOverProxy();
    await store.put('x', data, signal);
    for (const bytes of [10, 1000, 1_000_000, 3_000_000]) {
      proxy.set({ cutAfterServerBytes: bytes });
      await expect(store.get('x', signal)).rejects.toMatchObject({ code: 'store.unreachable' });
      proxy.set({ cutAfterServerBytes: bytes });
      await expect(store.getRange('x', { suffix: 3_145_000 }, signal)).rejects.toMatchObject({
        code: 'store.unreachable',
      });
    }
    await store.close();
  });

  it('never shows an object of which a part arrived', async () => {
    const store = await openOverProxy();
    proxy.set({ cutAfterClientBytes: 1_000_000 });
    await expect(store.put('x', data, signal)).rejects.toMatchObject({ code: 'store.unreachable' });
    proxy.set({});

    expect(await store.get('x', signal)).toBeUndefined();
    expect(await Array.fromAsync(store.list('', signal))).toEqual([]);
    await store.close();
  });

  it('is repeated until the line is back', async () => {
    const location = `s3://${server.bucket}/${newPrefix()}`;
    let failures = 0;
    const options = { ...server.options, endpoint: proxy.endpoint };
    await proxy.cut();
    const wait = async () => {
      failures += 1;
      if (failures === 3) {
        await proxy.mend();
      }
    };
    const store = await openObjectStore(location, { ...options, retry: { wait } }, signal);

    await store.put('x', data, signal);

    expect(failures).toBe(3);
    expect((await store.get('x', signal))?.length).toBe(data.length);
    await store.close();
  });

  it('stops at once when its signal fires', async () => {
    const store = await open(newPrefix(), { endpoint: proxy.endpoint });
    await store.put('x', data, signal);
    proxy.set({ muteServer: true });
    const attempts = [
      (stop: AbortSignal) => store.get('x', stop),
      (stop: AbortSignal) => store.put('y', data, stop),
      (stop: AbortSignal) => Array.fromAsync(store.list('', stop)),
    ];
    for (const attempt of attempts) {
      const abort = new AbortController();
      const outcome = attempt(abort.signal);
      setImmediate(() => {
        abort.abort();
      });
      await expect(outcome).rejects.toMatchObject({ name: 'AbortError' });
    }
    await store.close();
  });

  it('keeps no connection busy with what nobody reads', async () => {
    const store = await openOverProxy();
    await store.put('x', data, signal);
    // More than there are connections.
    for (let round = 0; round < 100; round += 1) {
      await expect(
        store.getRange('x', { offset: data.length, length: 10 }, signal),
      ).resolves.toMatchObject({ objectSize: data.length });
      await store.get('missing', signal);
    }

    // Servers that close one after an answer without an object are within their rights.
    expect(proxy.openConnections).toBeLessThan(5);
    const error = await store.get('x', AbortSignal.abort()).catch((cause: unknown) => cause);
    expect(isFault(error)).toBe(false);
    await store.close();
  });
});
