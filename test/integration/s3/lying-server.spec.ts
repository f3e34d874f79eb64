import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';

const { signal } = new AbortController();
const OBJECT_BYTES = 1000;

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

const opened: { server: Server; store: S3ObjectStore }[] = [];

/** A store whose server answers every request in one way. */
async function storeThatAnswers(answer: Answer): Promise<S3ObjectStore> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      answer(response, request);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = await connectS3({
    endpoint: `http://127.0.0.1:${String(port)}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const store = new S3ObjectStore(client, { bucket: 'bucket', prefix: 'hk/' });
  opened.push({ server, store });
  return store;
}

afterEach(async () => {
  for (const { server, store } of opened.splice(0)) {
    await store.close();
    server.closeAllConnections();
    server.close();
  }
});

function part(from: number, to: number, bytes: number): Answer {
  return (response) => {
    response.writeHead(206, {
      etag: '"1"',
      'content-range': `bytes ${String(from)}-${String(to)}/${String(OBJECT_BYTES)}`,
      'content-length': bytes,
    });
    response.end(Buffer.alloc(bytes, 7));
  };
}

const cutOff: Answer = (response) => {
  response.writeHead(200, { etag: '"1"', 'content-length': OBJECT_BYTES, connection: 'close' });
  response.write(Buffer.alloc(10), () => response.socket?.end());
};

function whole(headers: Record<string, string>, bytes = OBJECT_BYTES): Answer {
  return (response) => {
    response.writeHead(200, { etag: '"1"', ...headers }).end(Buffer.alloc(bytes, 7));
  };
}

function says(status: number, type: string, body: string): Answer {
  return (response) => {
    response.writeHead(status, { 'content-type': type, location: 'http://elsewhere/' }).end(body);
  };
}

const PAGE = '<html><head><title>Down</title></head><body>for maintenance</body></html>';
const FOREIGN: Readonly<Record<string, Answer>> = {
  'an empty 200': says(200, 'text/plain', ''),
  'a page with 200': says(200, 'text/html', PAGE),
  'a page that is no XML with 200': says(200, 'text/html', `<!doctype html><p>Down<br>${PAGE}`),
  'JSON with 200': says(200, 'application/json', '{"error":"down"}'),
  'XML that is cut off': says(
    200,
    'application/xml',
    '<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>',
  ),
  'an error of S3 with 200': says(
    200,
    'application/xml',
    '<Error><Code>InternalError</Code><Message>x</Message></Error>',
  ),
  'a page with 404': says(404, 'text/html', PAGE),
  'an empty 404': says(404, 'text/plain', ''),
  'JSON with 404': says(404, 'application/json', '{"error":"no route"}'),
  'a page with 302': says(302, 'text/html', PAGE),
};

const VERSION = { key: 'x', versionId: '1' };
const REQUESTS: Readonly<Record<string, (store: S3ObjectStore) => Promise<unknown>>> = {
  get: (store) => store.get('s/vm/1', signal),
  'get of a part': (store) => store.getRange('x', { offset: 10, length: 10 }, signal),
  'get of the end': (store) => store.getRange('x', { suffix: 100 }, signal),
  'get of nothing': (store) => store.getRange('x', { offset: 10, length: 0 }, signal),
  put: (store) => store.put('x', Buffer.from('content'), signal),
  remove: (store) => store.remove('x', signal),
  list: (store) => Array.fromAsync(store.list('s/', signal)),
  'list of versions': (store) => Array.fromAsync(store.features.listVersions('s/', signal)),
  'get of a version': (store) => store.features.getVersion(VERSION, undefined, signal),
  'removal of a version': (store) =>
    store.features.removeVersion(VERSION, { bypass: false }, signal),
  'put if absent': (store) => store.features.putIfAbsent('x', Buffer.from('content'), signal),
  lock: (store) =>
    store.features.setLock(VERSION, { mode: 'governance', untilMs: 2_000_000_000_000 }, signal),
  'question for a lock': (store) => store.features.lockOf(VERSION, signal),
};

describe('S3ObjectStore believes nothing that has not the form of an answer', () => {
  it.each(Object.keys(FOREIGN))('%s', async (name) => {
    const store = await storeThatAnswers(FOREIGN[name] ?? cutOff);
    for (const [request, send] of Object.entries(REQUESTS)) {
      const outcome = await send(store).then(
        (value) => `believed: ${JSON.stringify(value)}`,
        (error: unknown) => (error as { code?: string }).code,
      );

      // The client recognizes an error of S3, whatever its status is.
      expect(`${request}: ${String(outcome)}`).toMatch(
        name === 'an error of S3 with 200'
          ? /store[.](nonsense|unreachable)$/
          : /store[.]nonsense$/,
      );
    }
  });

  it.each([
    { title: 'fewer bytes than it says', answer: part(900, 999, 60) },
    { title: 'more bytes than were asked for', answer: part(900, 999, 160) },
    { title: 'bytes from another place', answer: part(0, 99, 100) },
    { title: 'a part of the part', answer: part(950, 999, 50) },
    { title: 'the whole object in place of its end', answer: whole({}) },
    { title: 'the beginning, and ends the connection in order', answer: cutOff },
  ])('refuses $title', async ({ answer }) => {
    const store = await storeThatAnswers(answer);

    await expect(store.getRange('x', { suffix: 100 }, signal)).rejects.toMatchObject({
      code: expect.stringMatching(/^store[.]/) as unknown,
    });
  });

  it('takes the whole object when that is what was asked for', async () => {
    const store = await storeThatAnswers(whole({ 'content-length': String(OBJECT_BYTES) }));

    for (const range of [{ suffix: 5000 }, { offset: 0, length: 1000 }]) {
      const answer = await store.getRange('x', range, signal);
      expect(answer?.data).toHaveLength(OBJECT_BYTES);
      expect(answer?.objectSize).toBe(OBJECT_BYTES);
    }
  });

  it('never takes what came before the end of the connection for the object', async () => {
    const store = await storeThatAnswers(cutOff);

    await expect(store.get('x', signal)).rejects.toMatchObject({ code: 'store.unreachable' });
  });

  it('believes an S3 server that an object is not there, and removes it', async () => {
    const store = await storeThatAnswers(
      says(404, 'application/xml', '<Error><Code>NoSuchKey</Code><Message>x</Message></Error>'),
    );

    expect(await store.get('x', signal)).toBeUndefined();
    expect(await store.getRange('x', { suffix: 1 }, signal)).toBeUndefined();
    expect(await store.getRange('x', { suffix: 0 }, signal)).toBeUndefined();
    await store.remove('x', signal);
  });
});

describe('S3ObjectStore stops at the largest object that there may be', () => {
  const KIB = Buffer.alloc(1024, 7);

  function endless(headers: Record<string, string>): { answer: Answer; sent: () => number } {
    let kibibytes = 0;
    const answer: Answer = (response) => {
      response.writeHead(200, { etag: '"1"', ...headers });
      const more = (): void => {
        while (!response.destroyed && response.write(KIB)) {
          kibibytes += 1;
        }
      };
      response.on('drain', more);
      more();
    };
    return { answer, sent: () => kibibytes };
  }

  it('by the length that the server says, without a byte', async () => {
    const { answer } = endless({ 'content-length': '1200000000' });
    const store = await storeThatAnswers(answer);

    await expect(store.get('s/vm/1', signal)).rejects.toMatchObject({
      code: 'vault.point-corrupt',
    });
  });

  it('by counting, where the server says no length', async () => {
    const { answer, sent } = endless({});
    const store = await storeThatAnswers(answer);

    await expect(store.get('keys/1', signal)).rejects.toMatchObject({ code: 'vault.key-corrupt' });
    // Bytes in buffers of the system do not count.
    expect(sent()).toBeLessThan(64 * 1024);
  });
});

interface PageFacts {
  readonly names: readonly string[];
  readonly next?: string;
  readonly more?: string;
}

/** A list as S3 writes it; `more` stands before its objects. */
function listPage({ names, next, more = '' }: PageFacts): string {
  const objects = names.map((name) => `<Contents><Key>${name}</Key><Size>1</Size></Contents>`);
  const goesOn = next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>',
    more === '' ? '<Name>bucket</Name>' : more,
    `<IsTruncated>${String(next !== undefined)}</IsTruncated>${goesOn}`,
    ...objects,
    '</ListBucketResult>',
  ].join('');
}

async function listed(pages: readonly string[]): Promise<string[]> {
  let page = 0;
  const store = await storeThatAnswers((response) => {
    response.writeHead(200, { 'content-type': 'application/xml' });
    response.end(pages[Math.min(page, pages.length - 1)]);
    page += 1;
  });
  const entries = await Array.fromAsync(store.list('s/', signal));
  return entries.map(({ key }) => key);
}

describe('a list of S3ObjectStore', () => {
  it('comes in pages that lead on, of which some may be empty', async () => {
    const pages = [
      listPage({ names: ['hk/s/a', 'hk/s/b'], next: 'one' }),
      listPage({ names: [], next: 'two' }),
      listPage({ names: ['hk/s/c'] }),
    ];

    expect(await listed(pages)).toEqual(['s/a', 's/b', 's/c']);
  });

  it.each([
    ['has no name of a bucket', [listPage({ names: ['hk/s/a'], more: '<Name></Name>' })]],
    [
      'is of another prefix',
      [listPage({ names: [], more: '<Name>b</Name><Prefix>hk/t/</Prefix>' })],
    ],
    ['names what is not of its prefix', [listPage({ names: ['hk/t/a'] })]],
    [
      'names less than it counts',
      [listPage({ names: ['hk/s/a'], more: '<Name>b</Name><KeyCount>2</KeyCount>' })],
    ],
    ['leads back to the same page', [listPage({ names: [], next: 'one' })]],
    [
      'is cut short and does not say how it goes on',
      [listPage({ names: ['hk/s/a'] }).replace('>false<', '>true<')],
    ],
    [
      'does not say whether it is whole',
      [listPage({ names: ['hk/s/a'] }).replace(/<IsTruncated>.*<.IsTruncated>/, '')],
    ],
    [
      'has an object without a size',
      [listPage({ names: ['hk/s/a'] }).replace('<Size>1</Size>', '')],
    ],
  ])('that %s is nonsense', async (_title, pages) => {
    await expect(listed(pages)).rejects.toMatchObject({ code: 'store.nonsense' });
  });

  it('that goes back in the order of names is refused', async () => {
    const pages = [
      listPage({ names: ['hk/s/b'], next: 'one' }),
      listPage({ names: ['hk/s/a', 'hk/s/b'], next: 'two' }),
    ];

    await expect(listed(pages)).rejects.toMatchObject({ code: 'store.refused' });
  });
});
