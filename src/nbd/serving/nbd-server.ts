import { createServer, type Server, type Socket } from 'node:net';
import { chmod } from '../../kernel/files/files.ts';
import { ServedConnection, type Serving } from './served-connection.ts';

const OWNER_ONLY = 0o600;
/** More clients than any restore has; others are refused at once. */
const CONNECTIONS_MAX = 64;

/** Exports disks on a unix socket that only its owner may use. */
export class NbdServer implements AsyncDisposable {
  private readonly connections = new Set<ServedConnection>();
  private readonly ending = new AbortController();
  private readonly serving: Serving;
  private readonly server: Server;

  private constructor(serving: Serving) {
    this.serving = serving;
    this.server = createServer({ allowHalfOpen: true }, (socket) => {
      this.accept(socket);
    });
    this.server.maxConnections = CONNECTIONS_MAX;
  }

  /**
   * Resolves when clients can connect.
   *
   * @param socketPath in a folder that only this user can enter: until its mode is set, the socket
   *   is open to whoever reaches it
   */
  static async listen(socketPath: string, serving: Serving): Promise<NbdServer> {
    const made = new NbdServer(serving);
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    made.server.once('error', reject);
    made.server.listen(socketPath, () => {
      resolve(undefined);
    });
    await promise;
    await chmod(socketPath, OWNER_ONLY);
    return made;
  }

  /** How many clients there are. */
  get clients(): number {
    return this.connections.size;
  }

  /** Takes no more requests, answers those that wait, and closes everything. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const connection of this.connections) {
      connection.leave();
    }
    await closed;
  }

  /** Closes at once: what a disk is doing for clients ends with `signal.aborted`. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.ending.abort();
    for (const connection of this.connections) {
      connection.destroy();
    }
    await closed;
  }

  private accept(socket: Socket): void {
    const connection = new ServedConnection(this.serving, socket, this.ending.signal);
    this.connections.add(connection);
    void connection.closed.then(() => this.connections.delete(connection));
  }
}
