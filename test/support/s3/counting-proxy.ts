import { once } from 'node:events';
import {
  createServer,
  request,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';

/** Requests by what S3 calls them: `PUT`, `GET`, `LIST`, `HEAD`, `DELETE`, `POST`. */
export type RequestCounts = Readonly<Record<string, number>>;

/**
 * Stands in front of an S3 server and counts what arrives, whatever the client believes it sends.
 */
export class CountingProxy {
  readonly #target: URL;
  readonly #server: Server;
  #counts = new Map<string, number>();

  private constructor(target: URL) {
    this.#target = target;
    this.#server = createServer((incoming, outgoing) => {
      void this.#pass(incoming, outgoing);
    });
  }

  /** @param target for example `http://127.0.0.1:9000` */
  static async to(target: string): Promise<CountingProxy> {
    const proxy = new CountingProxy(new URL(target));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What came since the last time. */
  take(): RequestCounts {
    const counts = Object.fromEntries(this.#counts);
    this.#counts = new Map();
    return counts;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = 'GET', url: path = '/' } = incoming;
    const kind = method === 'GET' && path.includes('list-type=') ? 'LIST' : method;
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    const { hostname, port } = this.#target;
    // The Host of the client stays: it is signed.
    const headers = { ...incoming.headers };
    delete headers.expect;
    const passed = request({ hostname, port, method, path, headers });
    try {
      const answered = once(passed, 'response') as Promise<[IncomingMessage]>;
      await Promise.all([pipeline(incoming, passed), answered]);
      const [answer] = await answered;
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      await pipeline(answer, outgoing);
    } catch {
      // The client sees a broken connection, as it would without a proxy.
      outgoing.destroy();
      passed.destroy();
    }
  }
}
