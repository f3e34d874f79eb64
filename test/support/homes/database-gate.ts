import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { endTogether } from '../s3/tcp-proxy.ts';
import { byPort, connectToDatabase } from '../service/database-proxy.ts';
import type { Moment } from './engine-wire.ts';

/** Is told of a statement by the name of its step. If it returns true, it gets no further. */
export type OnStatement = (step: string, moment: Moment) => boolean;

/** What is looked for in what a client sends: the statement, then one of its parameters. */
export interface StatementKind {
  readonly step: string;
  readonly pattern: RegExp;
}

/** Ends an answer of PostgreSQL after which no transaction is open. */
const IDLE = Buffer.from('Z\0\0\0\u0005I', 'latin1');

/**
 * Stands between one service and its database, and can stop the world at a statement. What a client
 * sends at once is looked at as a whole: that is how `pg` sends a statement with its parameters.
 */
export class DatabaseGate implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #url: string;
  readonly #kinds: readonly StatementKind[];
  readonly #onStatement: OnStatement;

  private constructor(url: string, kinds: readonly StatementKind[], onStatement: OnStatement) {
    this.#url = url;
    this.#kinds = kinds;
    this.#onStatement = onStatement;
    this.#server = createServer((client) => {
      this.#join(client, connectToDatabase(this.#url));
    });
  }

  /** @param url of the database, over TCP or a socket in a folder */
  static async to(
    url: string,
    kinds: readonly StatementKind[],
    onStatement: OnStatement,
  ): Promise<DatabaseGate> {
    const gate = new DatabaseGate(url, kinds, onStatement);
    gate.#server.listen(0, '127.0.0.1');
    await once(gate.#server, 'listening');
    return gate;
  }

  /** The database by this way. */
  get url(): string {
    return byPort(this.#url, (this.#server.address() as AddressInfo).port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await once(this.#server, 'close');
  }

  #join(client: Socket, server: Socket): void {
    let under: string | undefined;
    let isShut = false;
    client.on('data', (piece) => {
      const step = this.#stepOf(piece);
      isShut ||= step !== undefined && this.#onStatement(step, 'before');
      if (!isShut) {
        under = step ?? under;
        server.write(piece);
      }
    });
    server.on('data', (piece) => {
      if (under !== undefined && isIdle(piece)) {
        isShut ||= this.#onStatement(under, 'after');
        under = undefined;
      }
      if (!isShut) {
        client.write(piece);
      }
    });
    endTogether(this.#sockets, client, server);
  }

  #stepOf(piece: Buffer): string | undefined {
    const text = piece.toString('latin1');
    return this.#kinds.find(({ pattern }) => pattern.test(text))?.step;
  }
}

function isIdle(piece: Buffer): boolean {
  return piece.subarray(-IDLE.length).equals(IDLE);
}
