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
  /** Accepts nothing: connections are closed at once. */
  readonly refuse?: boolean;
}

/** A wire to a server that a test can cut, in this process. */
export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #line: Line = {};
  #clientBytes = 0;
  #serverBytes = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param target for example `http://127.0.0.1:9000` */
  static async to(target: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(target);
    const server = createServer();
    const proxy = new TcpProxy(server);
    server.on('connection', (client) => {
      proxy.#join(client, connect(Number(port), hostname));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
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

  async close(): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client: Socket, server: Socket): void {
    if (this.#line.refuse === true) {
      client.resetAndDestroy();
      server.destroy();
      return;
    }
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      // The other end learns of it by its own socket being closed.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.on('drain', () => other.resume());
    }
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
