import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A way to a database over TCP that a test can cut and mend: to clients the database is away. */
export class DatabaseWire {
  /** The database by this way. */
  readonly url: string;
  readonly #port: number;
  readonly #target: () => Socket;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  private constructor(server: Server, given: URL) {
    const { port } = server.address() as AddressInfo;
    this.#server = server;
    this.#port = port;
    const folder = given.searchParams.get('host');
    this.#target = () =>
      folder === null
        ? connect(Number(given.port === '' ? 5432 : given.port), given.hostname)
        : connect(`${folder}/.s.PGSQL.5432`);
    const url = new URL(given);
    url.searchParams.delete('host');
    url.hostname = '127.0.0.1';
    url.port = String(port);
    this.url = url.href;
    this.#serve(server);
  }

  static async to(url: string): Promise<DatabaseWire> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new DatabaseWire(server, new URL(url));
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

  async mend(): Promise<void> {
    const server = createServer();
    this.#serve(server);
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
  }

  #serve(server: Server): void {
    server.on('connection', (client) => {
      const target = this.#target();
      for (const [socket, other] of [
        [client, target],
        [target, client],
      ] as const) {
        this.#sockets.add(socket);
        // The other end learns of it by its own socket being closed.
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
  }
}
