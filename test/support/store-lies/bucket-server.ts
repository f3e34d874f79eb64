import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import {
  honest,
  requestOf,
  type BucketAnswer,
  type BucketRequest,
  type Liar,
} from './bucket-requests.ts';

type Objects = ReadonlyMap<string, Uint8Array>;

const PAGE_KEYS = 1000;

/**
 * A small S3 server in this process, with what a vault uses: objects, parts of them and lists in
 * pages. It accepts every signature. Its answers go through a liar.
 */
export class BucketServer {
  readonly objects = new Map<string, Uint8Array>();
  readonly #server: Server;
  #liar = honest;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(): Promise<BucketServer> {
    const server = createServer();
    const bucket = new BucketServer(server);
    server.on('request', (request, response) => {
      void bucket.#answer(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return bucket;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** Sets the liar; without one the server tells the truth. */
  follow(liar: Liar = honest): void {
    this.#liar = liar;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request).catch(() => undefined);
    if (body === undefined) {
      return;
    }
    const url = new URL(request.url ?? '/', 'http://server');
    const range = request.headers.range;
    const asked = requestOf(request.method ?? '', url, range);
    const answer = await this.#liar(asked, async () => this.#truth(asked, { url, range, body }));
    const isHead = request.method === 'HEAD';
    const content = Buffer.from(answer.body ?? '');
    const length = String(content.length);
    response.writeHead(answer.status, { 'content-length': length, ...answer.headers });
    response.end(isHead ? undefined : content);
  }

  #truth(
    { kind, key }: BucketRequest,
    { url, range, body }: { url: URL; range: string | undefined; body: Buffer },
  ): BucketAnswer {
    if (kind === 'list') {
      return listAnswer(this.objects, key, url.searchParams.get('continuation-token') ?? '');
    }
    if (kind === 'put') {
      this.objects.set(key, body);
      return { status: 200, headers: { etag: etagOf(body) } };
    }
    if (kind === 'remove') {
      this.objects.delete(key);
      return { status: 204 };
    }
    return objectAnswer(this.objects.get(key), range);
  }
}

export function etagOf(content: Uint8Array): string {
  return `"${createHash('md5').update(content).digest('hex')}"`;
}

/** The object, or the part of it that the header names. */
function objectAnswer(content: Uint8Array | undefined, range?: string): BucketAnswer {
  if (content === undefined) {
    return errorAnswer(404, 'NoSuchKey');
  }
  const headers = { etag: etagOf(content) };
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? [];
  if (from === '' && to === '') {
    return { status: 200, headers, body: content };
  }
  const { length } = content;
  const start = from === '' ? Math.max(0, length - Number(to)) : Number(from);
  const end = from === '' || to === '' ? length : Math.min(length, Number(to) + 1);
  if (start >= length) {
    return errorAnswer(416, 'InvalidRange');
  }
  return {
    status: 206,
    headers: { ...headers, 'content-range': `bytes ${start}-${end - 1}/${length}` },
    body: content.subarray(start, end),
  };
}

/** One page of a list, as S3 writes it. */
function listAnswer(objects: Objects, prefix: string, after = ''): BucketAnswer {
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
  const page = keys.slice(0, PAGE_KEYS);
  const isCut = page.length < keys.length;
  const next = isCut ? `<NextContinuationToken>${page.at(-1) ?? ''}</NextContinuationToken>` : '';
  const entries = page.map((key) => {
    const size = objects.get(key)?.length ?? 0;
    return `<Contents><Key>${encodeURIComponent(key)}</Key><Size>${size}</Size></Contents>`;
  });
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: [
      '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>bucket</Name>',
      `<Prefix>${encodeURIComponent(prefix)}</Prefix><KeyCount>${page.length}</KeyCount>`,
      `<IsTruncated>${String(isCut)}</IsTruncated>${next}${entries.join('')}</ListBucketResult>`,
    ].join(''),
  };
}

function errorAnswer(status: number, code: string): BucketAnswer {
  return {
    status,
    headers: { 'content-type': 'application/xml' },
    body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>no</Message></Error>`,
  };
}
