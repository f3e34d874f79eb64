import { createConnection, type Socket } from 'node:net';
import { MiB } from '../../../kernel/text/bytes.ts';
import { Fault } from '../../../kernel/fault.ts';
import { showLife } from '../../../kernel/signs-of-life.ts';
import { plainWords } from '../../../kernel/text/plain-text.ts';
import { JsonLines } from './json-lines.ts';
import {
  QMP_RESULTS,
  QmpEvent,
  QmpGreeting,
  QmpReply,
  type QmpCommand,
  type QmpResult,
} from './qmp-results.ts';

/** A flat list of all block nodes of a VM with 24 disks is about 100 KiB. */
const LIMITS = {
  lineBytesMax: 16 * MiB,
  depthMax: 64,
  burstBytesMax: 32 * MiB,
  bytesPerSecond: 4 * MiB,
};
const COMMAND_TIMEOUT_MS = 20_000;
/** A second client of one monitor gets no greeting, so a timeout means that it is in use. */
const GREETING_TIMEOUT_MS = 5_000;
/** Limit for unanswered commands; more means a bug or a monitor that hangs. */
const PENDING_MAX = 256;
/** How much of QEMU's text a message can carry. */
const ERROR_CHARACTERS_MAX = 500;

interface Pending {
  readonly command: QmpCommand;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export interface QmpOptions {
  readonly greetingTimeoutMs?: number;
}

/**
 * One connection to a QEMU monitor (QMP). Commands may overlap; replies are matched by id. When the
 * connection ends, every pending command fails with `engine.unreachable` and `closed` resolves;
 * connect again for a new one.
 *
 * @see QEMU docs/interop/qmp-spec.rst
 */
export class QmpClient implements AsyncDisposable {
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
  private readonly socket: Socket;
  private readonly lines = new JsonLines(LIMITS);
  private readonly pending = new Map<number, Pending>();
  private readonly listeners = new Set<(event: QmpEvent) => void>();
  private nextId = 1;
  private ended = false;
  private failure: Error | undefined;
  private readonly greeting: Promise<QmpGreeting>;
  private greet: (greeting: QmpGreeting) => void = () => undefined;
  private refuse: (error: Error) => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.greeting = new Promise((resolve, reject) => {
      this.greet = resolve;
      this.refuse = reject;
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.end();
        resolve();
      });
    });
    socket.on('error', (error) => {
      this.failure ??= error;
    });
    socket.on('data', (piece) => {
      this.receive(piece);
    });
  }

  /**
   * Connects and negotiates capabilities.
   *
   * @throws Fault `engine.unreachable` if nothing listens, or the monitor is in use by another
   *   client
   */
  static async connect(
    path: string,
    signal: AbortSignal,
    options: QmpOptions = {},
  ): Promise<QmpClient> {
    signal.throwIfAborted();
    const client = new QmpClient(createConnection({ path }));
    const timeoutMs = options.greetingTimeoutMs ?? GREETING_TIMEOUT_MS;
    try {
      await client.within(client.greeting, { what: 'the greeting', timeoutMs, signal });
      await client.execute('qmp_capabilities', {}, signal);
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return !this.ended;
  }

  /**
   * Runs one command and returns its checked result. An abort or a timeout only stops the wait; the
   * command may still take effect.
   *
   * @throws Fault `engine.refused` with QEMU's own text, `engine.unreachable`
   */
  async execute<C extends QmpCommand>(
    command: C,
    parameters: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
    timeoutMs: number = COMMAND_TIMEOUT_MS,
  ): Promise<QmpResult<C>> {
    signal.throwIfAborted();
    if (this.ended || this.pending.size >= PENDING_MAX) {
      throw this.lost();
    }
    const id = this.nextId;
    this.nextId += 1;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.pending.set(id, { command, resolve, reject });
    });
    this.socket.write(`${JSON.stringify({ execute: command, arguments: parameters, id })}\n`);
    try {
      const value = await this.within(answer, { what: command, timeoutMs, signal });
      return parseResult(command, value);
    } finally {
      this.pending.delete(id);
      showLife();
    }
  }

  /** Calls `listener` for every event from now on, in order. @returns a function that ends this */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private receive(piece: Buffer): void {
    try {
      this.lines.count(piece.length);
      for (const message of this.lines.push(piece)) {
        this.accept(message);
      }
    } catch (error) {
      // A monitor that does not speak QMP is unusable: pending commands fail with this error.
      this.failure ??= Error.isError(error) ? error : undefined;
      this.socket.destroy();
    }
  }

  private accept(message: unknown): void {
    const event = QmpEvent.safeParse(message);
    if (event.success) {
      for (const listener of this.listeners) {
        listener(event.data);
      }
      return;
    }
    const greeting = QmpGreeting.safeParse(message);
    if (greeting.success) {
      this.greet(greeting.data);
      return;
    }
    const reply = QmpReply.parse(message);
    const waiting = reply.id === undefined ? undefined : this.pending.get(reply.id);
    if (waiting === undefined) {
      // The answer to a command that was given up.
      return;
    }
    if ('error' in reply) {
      const said = plainWords(reply.error.desc, ERROR_CHARACTERS_MAX);
      waiting.reject(
        new Fault('engine.refused', `QEMU refused ${waiting.command}: ${said}`, {
          command: waiting.command,
          errorClass: plainWords(reply.error.class, ERROR_CHARACTERS_MAX),
        }),
      );
    } else {
      waiting.resolve(reply.return);
    }
  }

  private async within<T>(
    answer: Promise<T>,
    {
      what,
      timeoutMs,
      signal,
    }: { readonly what: string; readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<T> {
    const limit = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      limit.reject(
        new Fault('engine.unreachable', `QEMU did not answer ${what} in ${timeoutMs} ms.`, {
          command: what,
          timeoutMs,
        }),
      );
    }, timeoutMs);
    const abort = () => {
      limit.reject(signal.reason as Error);
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([answer, limit.promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  private end(): void {
    this.ended = true;
    const error = this.lost();
    for (const { reject } of this.pending.values()) {
      reject(error);
    }
    this.pending.clear();
    this.refuse(error);
    // Perhaps no caller waits for the greeting any more.
    this.greeting.catch(() => undefined);
  }

  private lost(): Fault {
    return new Fault(
      'engine.unreachable',
      'The connection to QEMU is gone: the VM may have ended.',
      {},
      { cause: this.failure },
    );
  }
}

function parseResult<C extends QmpCommand>(command: C, value: unknown): QmpResult<C> {
  const result = QMP_RESULTS[command].safeParse(value);
  if (!result.success) {
    throw new Fault('engine.unreachable', `QEMU's answer to ${command} has an unknown shape.`, {
      command,
    });
  }
  return result.data as QmpResult<C>;
}
