import { randomInt } from 'node:crypto';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { KiB, MiB } from '../../../kernel/text/bytes.ts';
import { Fault } from '../../../kernel/fault.ts';
import { plainWords } from '../../../kernel/text/plain-text.ts';
import { GUEST_OUTPUT_BYTES_MAX } from '../../guest-command.ts';
import { JsonLines } from '../qmp/json-lines.ts';
import { LongStrings } from './long-strings.ts';

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
const POLL_MS_MIN = 20;
const POLL_MS_MAX = 500;
/** An agent that lives answers at once, also while a program runs. */
const ANSWER_MS = 10_000;
/** Base64 takes four characters for three bytes; one byte more shows that there is more. */
const OUTPUT_CHARACTERS_MAX = 4 * Math.ceil((GUEST_OUTPUT_BYTES_MAX + 1) / 3);
/** What an agent keeps of two outputs (16 MiB each), in Base64; it comes at once. */
const OUTPUT_BURST_BYTES = 48 * MiB;
const FREEZE = 'guest-fsfreeze-freeze';
const THAW = 'guest-fsfreeze-thaw';
/** How much of a guest's text a message can carry. */
const REFUSAL_CHARACTERS_MAX = 300;

export type AgentFreezeStatus = 'thawed' | 'frozen';

/** How a program ended that was started in the guest. */
export interface GuestProgramEnd {
  /** Undefined if a signal ended it. */
  readonly exitCode: number | undefined;
  /** The first `GUEST_OUTPUT_BYTES_MAX` bytes of each output. */
  readonly stdout: string;
  readonly stderr: string;
  /** Whether it printed more. */
  readonly isCut: boolean;
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
  /** Set while an answer may have a long output. */
  private output: LongStrings | undefined;
  private outputBytes = 0;

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

  /**
   * Flushes and freezes. A freeze that is not answered in time is followed by a thaw before the
   * connection is closed: whenever the guest hears of the one, it hears of the other.
   *
   * @returns how many file systems
   */
  async freeze(timeoutMs: number, signal: AbortSignal): Promise<number> {
    return asCount(await this.call(FREEZE, {}, timeoutMs, signal));
  }

  /** Thaws. @returns how many file systems; 0 if none was frozen */
  async thaw(timeoutMs: number, signal: AbortSignal): Promise<number> {
    return asCount(await this.call(THAW, {}, timeoutMs, signal));
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
  ): Promise<GuestProgramEnd> {
    const startedMs = performance.now();
    const pid = await this.begin([path, ...parameters], timeoutMs, signal);
    const end = await this.ended(pid, timeoutMs - (performance.now() - startedMs), signal);
    if (end === undefined) {
      throw silent(`did not finish ${path} in time`);
    }
    return end;
  }

  /**
   * Starts a program in the guest.
   *
   * @throws AgentRefusal if the guest has no such program, or the agent may not start any
   */
  async begin(
    [path, ...parameters]: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<number> {
    const request = { path, arg: parameters, 'capture-output': true };
    return asCount(fieldOf(await this.call('guest-exec', request, timeoutMs, signal), 'pid'));
  }

  /** Waits for the end of a program. @returns undefined if it did not end in time */
  async ended(
    pid: number,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<GuestProgramEnd | undefined> {
    const deadline = performance.now() + timeoutMs;
    for (let pauseMs = POLL_MS_MIN; ; pauseMs = Math.min(2 * pauseMs, POLL_MS_MAX)) {
      const status = await this.status(pid, deadline - performance.now(), signal);
      if (fieldOf(status, 'exited') === true) {
        return programEnd(status);
      }
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        return undefined;
      }
      await delay(Math.min(pauseMs, leftMs), undefined, { signal });
    }
  }

  /** Asks for the status of a program; its end comes with all that it printed. */
  private async status(pid: number, leftMs: number, signal: AbortSignal): Promise<unknown> {
    this.output = new LongStrings(OUTPUT_CHARACTERS_MAX);
    this.outputBytes = 0;
    try {
      return await this.call('guest-exec-status', { pid }, Math.max(leftMs, ANSWER_MS), signal);
    } finally {
      this.output = undefined;
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
      if (!(error instanceof AgentRefusal)) {
        if (command === FREEZE) {
          this.send(THAW, {});
        }
        this.socket.destroySoon();
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

  private take(arrived: Buffer): void {
    const piece = this.withoutLongOutput(arrived);
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

  private withoutLongOutput(piece: Buffer): Buffer {
    if (this.output === undefined) {
      return piece;
    }
    this.outputBytes += piece.length;
    return this.outputBytes > OUTPUT_BURST_BYTES ? piece : this.output.shorten(piece);
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
export class AgentRefusal extends Fault {}

function silent(what: string, cause?: unknown): Fault {
  const message = `The guest agent ${what}.`;
  return what.startsWith('refused')
    ? new AgentRefusal('engine.agent-silent', message, {}, { cause })
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

function programEnd(status: unknown): GuestProgramEnd {
  const exitCode = fieldOf(status, 'exitcode');
  const stdout = decoded(fieldOf(status, 'out-data'));
  const stderr = decoded(fieldOf(status, 'err-data'));
  const isCut = [stdout, stderr].some(({ length }) => length > GUEST_OUTPUT_BYTES_MAX);
  return {
    exitCode: typeof exitCode === 'number' ? exitCode : undefined,
    stdout: stdout.toString('utf8', 0, GUEST_OUTPUT_BYTES_MAX),
    stderr: stderr.toString('utf8', 0, GUEST_OUTPUT_BYTES_MAX),
    isCut,
  };
}

function decoded(base64: unknown): Buffer {
  return typeof base64 === 'string' ? Buffer.from(base64, 'base64') : Buffer.alloc(0);
}
