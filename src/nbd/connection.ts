import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { Fault, systemCode } from '../kernel/fault.ts';
import { ByteFeed, type ByteSteps } from './byte-steps.ts';
import { negotiate, type ExportFacts, type ExportWishes } from './negotiation.ts';
import { PendingRequest, type NbdRequest, type StatusReply } from './pending-request.ts';
import { Command, REQUEST_HEADER_BYTES, REQUEST_MAGIC } from './protocol.ts';
import { readReplies, type PendingRequests } from './replies.ts';

/** Where an export is. */
export interface NbdAddress {
  readonly socketPath: string;
  /** Default: the export with the empty name. */
  readonly exportName?: string;
}

export interface ConnectionOptions {
  readonly contexts: readonly string[];
  /** Silence of the server that ends the connection while it owes an answer. */
  readonly timeoutMs: number;
}

const GOODBYE_MS_MAX = 1000;
const COOKIE_MAX = 0xffff_ffff;

/**
 * One connection to an NBD server. Requests may be sent while others wait. If the server breaks the
 * protocol, is silent or goes away, all waiting requests fail and the connection has ended.
 */
export class NbdConnection {
  private readonly socket: Socket;
  private readonly timeoutMs: number;
  private readonly pending: PendingRequests = new Map();
  private readonly agreed = Promise.withResolvers<ExportFacts>();
  private readonly feed: ByteFeed;
  private readonly gone: Promise<unknown>;
  private agreedFacts: ExportFacts | undefined;
  private failure: Error | undefined;
  private lastCookie = 0;
  private bytesWaiting = 0;

  private constructor(address: NbdAddress, options: ConnectionOptions) {
    this.timeoutMs = options.timeoutMs;
    const wishes = { exportName: address.exportName ?? '', contexts: options.contexts };
    this.feed = new ByteFeed(this.conversation(wishes));
    this.socket = connect({
      path: address.socketPath,
      onread: {
        buffer: () => this.feed.nextBuffer(),
        callback: (count) => {
          this.receive(count);
          return true;
        },
      },
    });
    this.gone = new Promise((resolve) => this.socket.once('close', resolve));
    // `open` handles it; a later failure shows in the requests.
    this.agreed.promise.catch(() => undefined);
    this.watch(address);
  }

  /** @throws Fault `nbd.*` if the server is not there, refuses, or lacks the export */
  static async open(
    address: NbdAddress,
    options: ConnectionOptions,
    signal: AbortSignal,
  ): Promise<NbdConnection> {
    signal.throwIfAborted();
    const connection = new NbdConnection(address, options);
    const onAbort = (): void => {
      connection.fail(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await connection.agreed.promise;
      return connection;
    } catch (error) {
      await connection.gone;
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** What the server agreed to when the connection was opened. */
  get facts(): ExportFacts {
    assert(this.agreedFacts !== undefined, 'not open yet');
    return this.agreedFacts;
  }

  /** Bytes that waiting requests carry: how busy the connection is. */
  get waitingBytes(): number {
    return this.bytesWaiting;
  }

  get isOpen(): boolean {
    return this.failure === undefined;
  }

  /**
   * Sends one request and waits for its answer. If `signal` fires, then once the promise has
   * rejected, the target is no longer written and the data no longer read.
   */
  async request(request: NbdRequest, signal: AbortSignal): Promise<StatusReply> {
    signal.throwIfAborted();
    if (this.failure !== undefined) {
      throw this.failure;
    }
    assert(request.data === undefined || request.data.length === request.length);
    assert(request.target === undefined || request.target.length === request.length);
    const waiting = new PendingRequest(request);
    const sent = this.send(this.newCookie(waiting), request);
    const onAbort = (): void => {
      // Bytes still queued would be read from the caller's buffer later.
      void sent.then(() => {
        waiting.abandon(signal.reason);
      });
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.bytesWaiting += request.length;
    try {
      return await waiting.settled;
    } finally {
      this.bytesWaiting -= request.length;
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Says goodbye and waits until the socket is closed. */
  async close(): Promise<void> {
    if (this.failure === undefined) {
      const goodbye = encode(0, { command: Command.disconnect, offset: 0, length: 0 });
      const closed = new Fault('nbd.disconnected', 'The connection was closed.');
      // A socket that lives on to say goodbye could still write where an answer is expected.
      this.fail(closed, this.pending.size === 0 ? goodbye : undefined);
    }
    await this.gone;
  }

  private *conversation(wishes: ExportWishes): ByteSteps<void> {
    const facts = yield* negotiate(wishes, (bytes) => this.socket.write(bytes));
    this.agreedFacts = facts;
    this.agreed.resolve(facts);
    yield* readReplies(this.pending, facts.structured);
  }

  private watch({ socketPath }: NbdAddress): void {
    this.socket.setTimeout(this.timeoutMs);
    this.socket.on('timeout', () => {
      if (this.agreedFacts === undefined || this.pending.size > 0) {
        this.fail(
          new Fault(
            'nbd.timeout',
            `The NBD server has been silent for ${String(this.timeoutMs)} ms. Check what serves the disk.`,
            { socketPath },
          ),
        );
      }
    });
    this.socket.once('error', (error) => {
      const isUnreachable = ['ENOENT', 'ECONNREFUSED', 'EACCES'].includes(systemCode(error) ?? '');
      this.fail(
        new Fault(
          isUnreachable ? 'nbd.unreachable' : 'nbd.disconnected',
          isUnreachable
            ? `Nothing serves a disk on ${socketPath}. Check that the server runs.`
            : 'The connection to the NBD server broke. Check that the server still runs.',
          { socketPath },
          { cause: error },
        ),
      );
    });
    this.socket.once('close', () => {
      this.fail(
        new Fault(
          'nbd.disconnected',
          'The NBD server closed the connection. Check that it still runs.',
          { socketPath },
        ),
      );
    });
  }

  private receive(count: number): void {
    if (this.failure !== undefined) {
      return;
    }
    try {
      this.feed.received(count);
    } catch (error) {
      // A broken protocol or a bug of ours: either way the stream has lost its meaning.
      this.fail(error as Error);
    }
  }

  private fail(failure: Error, goodbye?: Uint8Array): void {
    if (this.failure !== undefined) {
      return;
    }
    this.failure = failure;
    this.agreed.reject(failure);
    if (goodbye === undefined) {
      this.socket.destroy();
    } else {
      this.socket.end(goodbye);
      const timer = setTimeout(() => this.socket.destroy(), GOODBYE_MS_MAX);
      this.socket.once('close', () => {
        clearTimeout(timer);
      });
    }
    for (const waiting of this.pending.values()) {
      waiting.giveUp(failure);
    }
    this.pending.clear();
  }

  private newCookie(waiting: PendingRequest): number {
    do {
      this.lastCookie = this.lastCookie === COOKIE_MAX ? 1 : this.lastCookie + 1;
    } while (this.pending.has(this.lastCookie));
    this.pending.set(this.lastCookie, waiting);
    return this.lastCookie;
  }

  /** Resolves when the system has taken all bytes, or the socket is closed and takes no more. */
  private async send(cookie: number, request: NbdRequest): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const done = (): void => {
      resolve(undefined);
    };
    this.socket.cork();
    if (request.data === undefined) {
      this.socket.write(encode(cookie, request), done);
    } else {
      this.socket.write(encode(cookie, request));
      this.socket.write(request.data, done);
    }
    this.socket.uncork();
    await promise;
  }
}

function encode(cookie: number, request: NbdRequest): Uint8Array {
  const header = Buffer.alloc(REQUEST_HEADER_BYTES);
  header.writeUInt32BE(REQUEST_MAGIC, 0);
  header.writeUInt16BE(request.command, 6);
  header.writeUInt32BE(cookie, 12);
  header.writeBigUInt64BE(BigInt(request.offset), 16);
  header.writeUInt32BE(request.length, 24);
  return header;
}
