import { randomInt } from 'node:crypto';
import { createConnection, type Socket } from 'node:net';
import { KiB, MiB } from '../../../kernel/text/bytes.ts';
import { Fault } from '../../../kernel/fault.ts';
import { plainWords } from '../../../kernel/text/plain-text.ts';
import { JsonLines } from '../qmp/json-lines.ts';

/**
 * The guest is not trusted: an answer that is longer or deeper, or more answers than commands, end
 * the connection.
 */
const LIMITS = {
  lineBytesMax: 1 * MiB,
  depthMax: 32,
  burstBytesMax: 2 * MiB,
  bytesPerSecond: 256 * KiB,
};
/** One command is sent at a time; a few late answers to an earlier client may come as well. */
const MESSAGES_MAX = 16;
/** Marks the start of a reply to guest-sync-delimited. */
const DELIMITER = 0xff;
const MILLISECONDS_PER_POLL = 20;
/** How much of a guest's text a message can carry. */
const REFUSAL_CHARACTERS_MAX = 300;

export type AgentFreezeStatus = 'thawed' | 'frozen';

export interface GuestCommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The QEMU guest agent behind a unix socket: one client, one command at a time. Every method has a
 * time limit, and throws `engine.agent-silent` if the agent does not answer, answers nonsense or
 * refuses. After a missed limit the connection is closed, because a late answer would be taken for
 * the next command's.
 *
 * @see QEMU docs/interop/qemu-ga-ref
 */
export class GuestAgent implements AsyncDisposable {
  private readonly socket: Socket;
  private readonly lines = new JsonLines(LIMITS);
  private readonly inbox: unknown[] = [];
  private synced = false;
  private failure: Error | undefined;
  private wake: () => void = () => undefined;
  private readonly closed: Promise<void>;
  private isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.isClosed = true;
        this.wake();
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

  /** Connects, and discards everything that was said before. */
  static async connect(path: string, timeoutMs: number, signal: AbortSignal): Promise<GuestAgent> {
    signal.throwIfAborted();
    const agent = new GuestAgent(createConnection({ path }));
    try {
      await agent.sync(timeoutMs, signal);
      return agent;
    } catch (error) {
      await agent.close();
      throw error;
    }
  }

  async freezeStatus(timeoutMs: number, signal: AbortSignal): Promise<AgentFreezeStatus> {
    const status = await this.call('guest-fsfreeze-status', {}, timeoutMs, signal);
    if (status !== 'thawed' && status !== 'frozen') {
      throw silent('answered something unknown about its freeze status');
    }
    return status;
  }

  /** Flushes and freezes. @returns how many file systems */
  async freeze(timeoutMs: number, signal: AbortSignal): Promise<number> {
    return asCount(await this.call('guest-fsfreeze-freeze', {}, timeoutMs, signal));
  }

  /** Thaws. @returns how many file systems; 0 if none was frozen */
  async thaw(timeoutMs: number, signal: AbortSignal): Promise<number> {
    return asCount(await this.call('guest-fsfreeze-thaw', {}, timeoutMs, signal));
  }

  /** Asks for a power-off. The agent does not answer that. */
  async shutdown(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.send('guest-shutdown', { mode: 'powerdown' });
  }

  /** Runs a program in the guest and waits for its end. */
  async run(
    path: string,
    parameters: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<GuestCommandResult> {
    const deadline = performance.now() + timeoutMs;
    const started = await this.call(
      'guest-exec',
      { path, arg: parameters, 'capture-output': true },
      timeoutMs,
      signal,
    );
    const pid = fieldOf(started, 'pid');
    for (;;) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        throw silent(`did not finish ${path} in time`);
      }
      const status = await this.call('guest-exec-status', { pid }, leftMs, signal);
      if (fieldOf(status, 'exited') === true) {
        return {
          exitCode: Number(fieldOf(status, 'exitcode') ?? -1),
          stdout: decoded(fieldOf(status, 'out-data')),
          stderr: decoded(fieldOf(status, 'err-data')),
        };
      }
      await new Promise((resolve) => setTimeout(resolve, MILLISECONDS_PER_POLL));
    }
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private async sync(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const id = randomInt(1, 2 ** 31);
    // The delimiter makes the agent drop a half-sent command of an earlier client.
    this.socket.write(Buffer.of(DELIMITER));
    this.send('guest-sync-delimited', { id });
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const reply = await this.next(deadline - performance.now(), signal);
      if (fieldOf(reply, 'return') === id) {
        return;
      }
    }
  }

  private async call(
    command: string,
    parameters: Readonly<Record<string, unknown>>,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<unknown> {
    signal.throwIfAborted();
    this.send(command, parameters);
    try {
      const reply = await this.next(timeoutMs, signal);
      const refusal = fieldOf(reply, 'error');
      if (refusal !== undefined) {
        throw silent(
          `refused ${command}: ${plainWords(String(fieldOf(refusal, 'desc')), REFUSAL_CHARACTERS_MAX)}`,
        );
      }
      return fieldOf(reply, 'return');
    } catch (error) {
      if (!(error instanceof Refusal)) {
        this.socket.destroy();
      }
      throw error;
    }
  }

  private send(command: string, parameters: Readonly<Record<string, unknown>>): void {
    this.socket.write(`${JSON.stringify({ execute: command, arguments: parameters })}\n`);
  }

  private receive(piece: Buffer): void {
    if (this.failure !== undefined) {
      return;
    }
    try {
      this.take(piece);
    } catch (error) {
      // An agent that does not speak JSON is unusable: every caller that waits gets this error.
      this.failure = Error.isError(error) ? error : undefined;
      this.socket.destroy();
    }
    this.wake();
  }

  private take(piece: Buffer): void {
    this.lines.count(piece.length);
    let rest = piece;
    const mark = rest.lastIndexOf(DELIMITER);
    if (mark >= 0) {
      this.lines.clear();
      this.inbox.length = 0;
      this.synced = true;
      rest = rest.subarray(mark + 1);
    }
    if (!this.synced) {
      return;
    }
    this.inbox.push(...this.lines.push(rest, MESSAGES_MAX - this.inbox.length));
  }

  private async next(timeoutMs: number, signal: AbortSignal): Promise<unknown> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      signal.throwIfAborted();
      const message = this.inbox.shift();
      if (message !== undefined) {
        return message;
      }
      if (this.isClosed) {
        throw silent('closed the connection', this.failure);
      }
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        throw silent(`did not answer in ${Math.round(timeoutMs)} ms`);
      }
      await this.woken(leftMs, signal);
    }
  }

  private async woken(leftMs: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, leftMs);
      const abort = () => {
        this.wake();
      };
      signal.addEventListener('abort', abort, { once: true });
      this.wake = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        resolve();
      };
    });
  }
}

/** The agent answered with a refusal; the connection is still good. */
class Refusal extends Fault {}

function silent(what: string, cause?: unknown): Fault {
  const message = `The guest agent ${what}.`;
  return what.startsWith('refused')
    ? new Refusal('engine.agent-silent', message, {}, { cause })
    : new Fault('engine.agent-silent', message, {}, { cause });
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

function asCount(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw silent('answered something that is not a count');
  }
  return value;
}

function decoded(base64: unknown): string {
  return typeof base64 === 'string' ? Buffer.from(base64, 'base64').toString('utf8') : '';
}
