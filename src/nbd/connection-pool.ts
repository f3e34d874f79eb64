import { Semaphore } from '../kernel/waiting/semaphore.ts';
import { NbdConnection, type NbdAddress } from './connection.ts';
import type { ExportFacts } from './negotiation.ts';
import type { NbdRequest, StatusReply } from './pending-request.ts';
import { ALLOCATION_DEPTH, BASE_ALLOCATION, ExportFlag } from './protocol.ts';

export interface NbdOptions {
  /** Number of connections, if the server allows several. Default 4. */
  readonly connections?: number;
  /** Unanswered requests at a time, over all connections. Default 16. */
  readonly requestsMax?: number;
  /** Silence of the server that counts as failure while it owes an answer. Default 120 s. */
  readonly timeoutMs?: number;
}

const CONNECTIONS = 4;
const REQUESTS_MAX = 16;
const TIMEOUT_MS = 120_000;

/** Several connections to one export, used as one. */
export class ConnectionPool {
  readonly facts: ExportFacts;
  private readonly connections: readonly NbdConnection[];
  private readonly requests: Semaphore;

  private constructor(
    connections: readonly [NbdConnection, ...NbdConnection[]],
    requests: Semaphore,
  ) {
    this.connections = connections;
    this.facts = connections[0].facts;
    this.requests = requests;
  }

  static async open(
    address: NbdAddress,
    options: NbdOptions,
    signal: AbortSignal,
  ): Promise<ConnectionPool> {
    const connectionOptions = {
      contexts: [BASE_ALLOCATION, ALLOCATION_DEPTH],
      timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    };
    const first = await NbdConnection.open(address, connectionOptions, signal);
    // Without multi-conn a flush on one connection does not cover writes on another.
    const canShare = (first.facts.flags & (ExportFlag.canMultiConn | ExportFlag.readOnly)) !== 0;
    const more = canShare ? (options.connections ?? CONNECTIONS) - 1 : 0;
    const opened = await Promise.allSettled(
      Array.from({ length: more }, () => NbdConnection.open(address, connectionOptions, signal)),
    );
    const others = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = opened.find((one) => one.status === 'rejected');
    if (failed !== undefined) {
      await Promise.all([first, ...others].map((connection) => connection.close()));
      throw failed.reason;
    }
    const requests = new Semaphore(options.requestsMax ?? REQUESTS_MAX);
    return new ConnectionPool([first, ...others], requests);
  }

  /** Runs a request on the connection with the least to do. */
  async request(request: NbdRequest, signal: AbortSignal): Promise<StatusReply> {
    await this.requests.take(signal);
    try {
      return await this.leastBusy().request(request, signal);
    } finally {
      this.requests.release();
    }
  }

  /** Like `request`, but returns the status by the name of the context. */
  async status(
    request: NbdRequest,
    signal: AbortSignal,
  ): Promise<(context: string) => readonly { length: number; flags: number }[]> {
    await this.requests.take(signal);
    try {
      const connection = this.leastBusy();
      const reply = await connection.request(request, signal);
      return (context) => {
        for (const [id, name] of connection.facts.contexts) {
          if (name === context) {
            return reply.get(id) ?? [];
          }
        }
        return [];
      };
    } finally {
      this.requests.release();
    }
  }

  hasContext(name: string): boolean {
    return [...this.facts.contexts.values()].includes(name);
  }

  hasFlag(flag: number): boolean {
    return (this.facts.flags & flag) !== 0;
  }

  /** Ends all connections; unanswered requests fail. Resolves when the sockets are closed. */
  async close(): Promise<void> {
    await Promise.all(this.connections.map((connection) => connection.close()));
  }

  /** A connection that has ended counts too: its failure says what happened. */
  private leastBusy(): NbdConnection {
    return this.connections.reduce((best, next) =>
      next.waitingBytes < best.waitingBytes ? next : best,
    );
  }
}
