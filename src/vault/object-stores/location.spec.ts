import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fault } from '../../kernel/fault.ts';
import { contactStore, openObjectStore, parseLocation } from './location.ts';

const { signal } = new AbortController();
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hyperkeep-location-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe('parseLocation', () => {
  it('reads buckets with and without a prefix', () => {
    expect(parseLocation('s3://vault')).toEqual({ s3: { bucket: 'vault', prefix: '' } });
    expect(parseLocation('s3://vault/')).toEqual({ s3: { bucket: 'vault', prefix: '' } });
    expect(parseLocation('s3://vault/a/b')).toEqual({ s3: { bucket: 'vault', prefix: 'a/b/' } });
    expect(parseLocation('s3://vault/a/b/')).toEqual({ s3: { bucket: 'vault', prefix: 'a/b/' } });
  });

  it('takes everything without a scheme for a folder', () => {
    expect(parseLocation('/srv/../srv/vault/')).toEqual({ folder: '/srv/vault' });
    expect(parseLocation('vault')).toEqual({ folder: join(process.cwd(), 'vault') });
  });

  it.each([
    '',
    's3://',
    's3:///prefix',
    's3://Vault',
    's3://va/x',
    's3://vault//x',
    's3://vault/../x',
    's3://vault/a b',
    'https://host/bucket',
    'file:///srv/vault',
    'S3://vault/x',
    'a\0b',
  ])('refuses %j', (location) => {
    expect(() => parseLocation(location)).toThrow(Fault);
  });

  it('never repeats a password', () => {
    expect(() => parseLocation('https://me:secret@host/x')).toThrow('"https://…@host/x"');
    expect(() => parseLocation('s3://key:secret@bucket/x')).toThrow('"s3://…@bucket/x"');
  });
});

describe('openObjectStore', () => {
  it('opens a folder without touching it', async () => {
    const store = await openObjectStore(join(folder, 'a', 'vault'), {}, signal);
    expect(store.location).toBe(join(folder, 'a', 'vault'));
    expect(await store.get('fmt/0', signal)).toBeUndefined();
    expect(await Array.fromAsync(store.list('', signal))).toEqual([]);
    expect(await readdir(folder)).toEqual([]);

    await store.makePlace(signal);
    await store.put('fmt/0', Uint8Array.of(1), signal);

    expect(await readdir(join(folder, 'a', 'vault', 'fmt'))).toEqual(['0']);
  });

  it('refuses a file', async () => {
    await writeFile(join(folder, 'file'), '');

    for (const path of ['file', 'file/below']) {
      await expect(openObjectStore(join(folder, path), {}, signal)).rejects.toMatchObject({
        code: 'store.invalid-location',
      });
    }
  });

  it('opens a bucket without asking it anything', async () => {
    const options = { endpoint: 'http://127.0.0.1:1' };
    const store = await openObjectStore('s3://vault/prefix', options, signal);

    expect(store.location).toBe('s3://vault/prefix/');
    await store.close();
  });

  it.each([
    ['s3:bkt/hk', /s3:\/\/bucket\/prefix/],
    ['S3://bkt/hk', /s3:\/\/bucket\/prefix/],
    ['s3://bkt//hk', /two slashes/],
  ])('says how %s is written', async (location, words) => {
    await expect(openObjectStore(location, {}, signal)).rejects.toMatchObject({
      code: 'store.invalid-location',
      message: expect.stringMatching(words) as string,
    });
  });

  it.each([
    ['localhost:9411', /http:\/\/HOST:PORT/],
    ['127.0.0.1:9411', /http:\/\/HOST:PORT/],
    ['ftp://host', /http:\/\/HOST:PORT/],
    ['', /http:\/\/HOST:PORT/],
    ['http://host:9000/bkt', /Write http:\/\/host:9000;/],
    ['http://me:secret@host', /Write http:\/\/host;/],
  ])('says at once that %s is no endpoint', async (endpoint, words) => {
    const opening = openObjectStore('s3://bkt/hk', { endpoint }, signal);
    await expect(opening).rejects.toMatchObject({
      code: 'store.invalid-location',
      message: expect.stringMatching(words) as string,
    });
    await expect(opening).rejects.toMatchObject({
      message: expect.not.stringContaining('secret') as string,
    });
  });

  it('takes an endpoint with a slash at its end', async () => {
    const store = await openObjectStore('s3://bkt', { endpoint: 'http://127.0.0.1:1/' }, signal);
    await store.close();
  });
});

describe('contactStore', () => {
  const credentials = { accessKeyId: 'x', secretAccessKey: 'x' };

  it.each(['http://127.0.0.1:1', 'http://no-such-host.invalid'])(
    'does not wait long for who is not there: %s',
    async (endpoint) => {
      const asked = contactStore('s3://bucket/v', { endpoint, credentials }, signal);
      await expect(asked).rejects.toMatchObject({ code: 'store.unreachable' });
    },
  );

  it('does not wait long for a word of who takes connections and is silent', async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const endpoint = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;

    const asked = contactStore('s3://bucket/v', { endpoint, credentials }, signal);

    await expect(asked).rejects.toMatchObject({ code: 'store.unreachable' });
    server.close();
    sockets.forEach((socket) => socket.destroy());
  }, 60_000);

  it('is content with a folder that will be made', async () => {
    await contactStore(join(folder, 'a', 'vault'), {}, signal);
    expect(await readdir(folder)).toEqual([]);
  });
});
