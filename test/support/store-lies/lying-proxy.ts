import { once } from 'node:events';
import {
  Agent,
  createServer,
  request as send,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { honest, requestOf, type BucketAnswer, type Liar } from './bucket-requests.ts';

/** Of one connection, and written anew. */
const OWN_HEADERS = new Set(['connection', 'content-length', 'keep-alive', 'transfer-encoding']);

/**
 * Passes requests on to a server as they came, signatures and all, and tells its answers through a
 * liar.
 */
export class LyingProxy {
  readonly #server: Server;
  readonly #target: URL;
  readonly #agent = new Agent({ keepAlive: true });
  #liar = honest;

  private constructor(server: Server, target: URL) {
    this.#server = server;
    this.#target = target;
  }

  static async open(endpoint: string): Promise<LyingProxy> {
    const server = createServer();
    const proxy = new LyingProxy(server, new URL(endpoint));
    server.on('request', (request, response) => {
      void proxy.#answer(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  follow(liar: Liar = honest): void {
    this.#liar = liar;
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await buffer(request);
      const url = new URL(request.url ?? '/', 'http://server');
      const asked = requestOf(request.method ?? '', url, request.headers.range);
      const answer = await this.#liar(asked, () => this.#truth(request, body));
      const content = Buffer.from(answer.body ?? '');
      response.writeHead(answer.status, {
        ...(answer.status === 204 ? {} : { 'content-length': String(content.length) }),
        ...answer.headers,
      });
      response.end(request.method === 'HEAD' ? undefined : content);
    } catch {
      // Whoever asked is gone, or gets no answer.
      response.destroy();
    }
  }

  async #truth(request: IncomingMessage, body: Buffer): Promise<BucketAnswer> {
    const { method, url: path, headers } = request;
    const passed = send({
      host: this.#target.hostname,
      port: this.#target.port,
      agent: this.#agent,
      method,
      path,
      headers,
    });
    passed.end(body);
    const [answer] = (await once(passed, 'response')) as [IncomingMessage];
    const isHead = method === 'HEAD';
    const kept = Object.entries(answer.headers).filter(
      ([name]) => !OWN_HEADERS.has(name) || (isHead && name === 'content-length'),
    );
    return {
      status: answer.statusCode ?? 500,
      headers: Object.fromEntries(kept.map(([name, value]) => [name, String(value)])),
      body: await buffer(answer),
    };
  }
}
