import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What happens to bytes on their way. Changes apply to connections that are open, too. */
export interface Line {
  /** `cut` resets a connection once this many bytes came from the server since the line was set. */
  readonly cutAfterServerBytes?: number;
  /** The same for bytes from the client. */
  readonly cutAfterClientBytes?: number;
  /** Drops what the server sends: it has done what was requested, and nobody hears of it. */
  readonly muteServer?: boolean;
}

/** A wire to a server that a test can cut and mend, in this process. */
export class TcpProxy {
  readonly #connect: () => Socket;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #line: Line = {};
  #clientBytes = 0;
  #serverBytes = 0;

  private constructor(connectToTarget: () => Socket) {
    this.#connect = connectToTarget;
  }

  /** @param connectToTarget opens a connection to the server */
  static async to(connectToTarget: () => Socket): Promise<TcpProxy> {
    const proxy = new TcpProxy(connectToTarget);
    await proxy.mend();
    return proxy;
  }

  /** @param endpoint for example `http://127.0.0.1:9000` */
  static async toEndpoint(endpoint: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(endpoint);
    return TcpProxy.to(() => connect(Number(port), hostname));
  }

  get port(): number {
    return this.#port;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${String(this.#port)}`;
  }

  /** Connections that are open now. */
  get openConnections(): number {
    return this.#sockets.size / 2;
  }

  set(line: Line): void {
    this.#line = line;
    this.#clientBytes = 0;
    this.#serverBytes = 0;
  }

  /** Ends all connections and refuses new ones. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    server?.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    if (server !== undefined) {
      await once(server, 'close');
    }
  }

  /** Listens at the same port again. */
  async mend(): Promise<void> {
    const server = createServer((client) => {
      this.#join(client, this.#connect());
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  #join(client: Socket, server: Socket): void {
    endTogether(this.#sockets, client, server);
    client.on('drain', () => server.resume());
    server.on('drain', () => client.resume());
    client.on('data', (piece) => {
      this.#clientBytes += piece.length;
      const limit = this.#line.cutAfterClientBytes ?? Infinity;
      this.#pass(piece, { from: client, to: server, isOver: this.#clientBytes > limit });
    });
    server.on('data', (piece) => {
      this.#serverBytes += piece.length;
      const limit = this.#line.cutAfterServerBytes ?? Infinity;
      if (this.#line.muteServer !== true) {
        this.#pass(piece, { from: server, to: client, isOver: this.#serverBytes > limit });
      }
    });
  }

  #pass(piece: Buffer, way: { from: Socket; to: Socket; isOver: boolean }): void {
    if (way.isOver) {
      way.from.resetAndDestroy();
      way.to.resetAndDestroy();
    } else if (!way.to.write(piece)) {
      way.from.pause();
    }
  }
}

/** Keeps two ends of a wire in `sockets` while they are open. The end of one is that of both. */
export function endTogether(sockets: Set<Socket>, client: Socket, server: Socket): void {
  for (const [socket, other] of [
    [client, server],
    [server, client],
  ] as const) {
    sockets.add(socket);
    // The other end learns of it by its own socket being closed.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
  }
}
