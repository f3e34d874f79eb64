import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** An S3 request that came through the gate. */
export interface GateRequest {
  /** `PUT d/`, `LIST gc/`, `LOCK s/.ok`: what is done to which kind of object. */
  readonly step: string;
  readonly method: string;
  /** Bucket and key as they were sent. */
  readonly path: string;
  /** Of the body. */
  readonly bytes: number;
  /** Whether the server did it. The client may not have heard of it. */
  isDone: boolean;
}

/**
 * Before a request is passed on, or after the server answered and before the client hears of it.
 */
export type GateMoment = 'before' | 'after';

/** If it returns true, this request and all later ones get no further; `alone`: only this one. */
export type GateRule = (request: GateRequest, moment: GateMoment) => boolean | 'alone';

const OPEN: GateRule = () => false;
const AREA =
  /\/(?<area>fmt|keys|d|m|s|retire|gc|bad|alias|hold|keep|probe)\/.*?(?<end>[.](?:ok|ask|done|end))?$/;
const METHODS = { PUT: 'PUT', GET: 'GET', HEAD: 'GET', DELETE: 'DELETE' } as const;

/**
 * Stands between a process and a real S3 server: sees every request, and can stop the world at one.
 * It passes bytes and headers as they are, so signatures stay valid.
 */
export class S3Gate {
  readonly #server: Server;
  readonly #target: URL;
  readonly #underWay = new Set<Promise<void>>();
  #rule = OPEN;
  #isShut = false;
  #requests: GateRequest[] = [];

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.#target = new URL(target);
  }

  /** @param target for example `http://127.0.0.1:9000` */
  static async to(target: string): Promise<S3Gate> {
    const server = createServer();
    const gate = new S3Gate(server, target);
    server.on('request', (request, response) => {
      const passing = gate.#pass(request, response).finally(() => gate.#underWay.delete(passing));
      gate.#underWay.add(passing);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return gate;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Opens the gate and restarts the count. */
  follow(rule: GateRule = OPEN): void {
    this.#rule = rule;
    this.#isShut = false;
    this.#requests = [];
  }

  /** Returns what came since `follow`, once the server has answered all of it. */
  async seen(): Promise<readonly GateRequest[]> {
    await Promise.all(this.#underWay);
    return this.#requests;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body: Buffer;
    try {
      body = await buffer(request);
    } catch {
      // The client died while it sent: the server would have made nothing of it.
      return;
    }
    const { method = '', url = '' } = request;
    const path = url.split('?')[0] ?? '';
    const seen = { step: stepOf(method, url), method, path, bytes: body.length, isDone: false };
    if (this.#stops(seen, 'before')) {
      return;
    }
    this.#requests.push(seen);
    const answer = await this.#forward(request, body);
    const content = await buffer(answer);
    seen.isDone = (answer.statusCode ?? 500) < 300;
    if (!this.#stops(seen, 'after') && !response.destroyed) {
      response.writeHead(answer.statusCode ?? 500, answer.rawHeaders).end(content);
    }
  }

  #stops(request: GateRequest, moment: GateMoment): boolean {
    const stops = !this.#isShut && this.#rule(request, moment);
    this.#isShut ||= stops === true;
    return this.#isShut || stops === 'alone';
  }

  async #forward(request: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
    const passed = httpRequest({
      host: this.#target.hostname,
      port: this.#target.port,
      method: request.method,
      path: request.url,
      headers: request.rawHeaders,
      setHost: false,
    });
    passed.end(body);
    const [answer] = (await once(passed, 'response')) as [IncomingMessage];
    return answer;
  }
}

function stepOf(method: string, url: string): string {
  const { pathname, searchParams } = new URL(url, 'http://server');
  const verb = METHODS[method as keyof typeof METHODS];
  if (searchParams.has('prefix') || searchParams.has('versions')) {
    const prefix = `/${searchParams.get('prefix') ?? ''}`;
    return `${searchParams.has('versions') ? 'VERSIONS' : 'LIST'} ${areaOf(prefix)}`;
  }
  return `${searchParams.has('retention') && method === 'PUT' ? 'LOCK' : verb} ${areaOf(pathname)}`;
}

/** `copy:d/` for a vault in a folder named `copy`. */
function areaOf(path: string): string {
  const { area, end = '' } = AREA.exec(path)?.groups ?? {};
  const place = path.includes('/copy/') ? 'copy:' : '';
  return area === undefined ? `${place}/` : `${place}${area}/${end}`;
}
