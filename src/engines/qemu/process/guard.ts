import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { KiB } from '../../../kernel/text/bytes.ts';
import { plainEnvironment, requireStart } from '../../../kernel/command.ts';
import { JsonLines } from '../qmp/json-lines.ts';

/** A guest that is frozen for longer is thawed, whatever the service is doing. */
const FROZEN_MS_MAX = 30_000;
const READY_MS_MAX = 15_000;
/** A busy guest under emulation needs seconds to answer; it is not frozen yet during this wait. */
const CONNECT_MS_MAX = 10_000;
/** An agent that flushes for longer is given up. */
const FREEZE_MS_MAX = 10_000;
const THAW_MS_MAX = 12_000;
/** A guard says this much after a limit that it has passed. */
const LATE_MS = 400;
/** A guard sends at most five messages, each shorter than a guest's text may be. */
const LIMITS = {
  lineBytesMax: 16 * KiB,
  depthMax: 4,
  burstBytesMax: 64 * KiB,
  bytesPerSecond: 1 * KiB,
};
const REPORTS_MAX = 8;

export type GuardOrder =
  | {
      readonly order: 'freeze';
      readonly connectMs: number;
      readonly freezeMs: number;
      /** Of all together. */
      readonly withinMs: number;
    }
  | { readonly order: 'thaw' };

const GuardReport = z.discriminatedUnion('said', [
  z.object({ said: z.literal('ready') }),
  z.object({ said: z.literal('frozen'), fileSystems: z.number() }),
  z.object({ said: z.literal('not-frozen'), reason: z.string() }),
  z.object({
    said: z.literal('thawed'),
    why: z.enum(['told', 'pipe', 'limit', 'failed']),
    frozenMs: z.number(),
  }),
  z.object({ said: z.literal('not-thawed') }),
]);
export type GuardReport = z.infer<typeof GuardReport>;

/** How a freeze of file systems ended. */
export interface ThawOutcome {
  /** Whether the guest said that it is thawed. */
  readonly isThawed: boolean;
  /** Whether it was frozen from before the order until the order to thaw. */
  readonly wasFrozenThroughout: boolean;
  readonly frozenMs: number;
}

export interface GuardOptions {
  readonly agentSocket: string;
  readonly frozenMsMax?: number;
  readonly freezeMsMax?: number;
  readonly connectMsMax?: number;
  /** Another program than guard.main, for tests of a broken guard. */
  readonly program?: string;
}

/**
 * Our end of the guard process (guard.main.ts), which freezes and thaws a guest for us, and thaws
 * it without us if we die or are late.
 */
export class Guard implements AsyncDisposable {
  private readonly child: ChildProcess;
  private readonly input: Writable;
  private readonly output: Readable;
  private readonly limits: { readonly freezeMs: number; readonly connectMs: number };
  /** Nothing is left to thaw. */
  private isDone = true;
  private readonly reports: GuardReport[] = [];
  private wake: () => void = () => undefined;
  private readonly lines = new JsonLines(LIMITS);
  /** The guard said something that is no report, so nothing it says is believed any more. */
  private isBroken = false;
  private hasExited = false;
  private readonly exited: Promise<unknown>;

  private constructor(
    child: ChildProcess,
    streams: { readonly input: Writable; readonly output: Readable },
    limits: { readonly freezeMs: number; readonly connectMs: number },
  ) {
    this.child = child;
    this.limits = limits;
    this.input = streams.input;
    this.output = streams.output;
    // The guard may be gone; its missing report shows that.
    streams.input.on('error', () => undefined);
    this.exited = once(child, 'exit').then(() => {
      this.hasExited = true;
      this.wake();
    });
    for (const source of [child, streams.output]) {
      // The end of the stream shows the same.
      source.on('error', () => undefined);
    }
    streams.output.on('data', (piece: Buffer) => {
      this.receive(piece);
    });
  }

  /** Starts the guard, detached, so that it outlives us for as long as a thaw takes. */
  static async start(options: GuardOptions): Promise<Guard> {
    const isSource = import.meta.url.endsWith('.ts');
    const usual = new URL(isSource ? './guard.main.ts' : './guard.main.js', import.meta.url);
    const program = options.program ?? fileURLToPath(usual);
    const limit = String(options.frozenMsMax ?? FROZEN_MS_MAX);
    const child = spawn(process.execPath, [program, options.agentSocket, limit], {
      detached: true,
      env: plainEnvironment(),
      cwd: '/',
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await requireStart(child, process.execPath);
    const streams = { input: child.stdin, output: child.stdout };
    return new Guard(child, streams, {
      freezeMs: options.freezeMsMax ?? FREEZE_MS_MAX,
      connectMs: options.connectMsMax ?? CONNECT_MS_MAX,
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Resolves when the guard can take orders; its start overlaps with other work. */
  async ready(): Promise<boolean> {
    return (await this.next('ready', READY_MS_MAX)) !== undefined;
  }

  /**
   * Freezes the guest's file systems. Order a thaw in any case.
   * @param withinMs how long it may take together; default: as long as its parts may
   * @returns why they are not frozen; undefined if they are
   */
  async freeze(withinMs?: number): Promise<string | undefined> {
    this.isDone = false;
    const { connectMs, freezeMs } = this.limits;
    const whole = 2 * connectMs + freezeMs;
    this.send({ order: 'freeze', connectMs, freezeMs, withinMs: withinMs ?? whole });
    const limitMs = withinMs === undefined ? whole + THAW_MS_MAX : withinMs + LATE_MS;
    const report = await this.next('frozen', limitMs, 'not-frozen');
    if (report?.said === 'frozen') {
      return report.fileSystems > 0 ? undefined : 'the guest has no file system that can be frozen';
    }
    if (report?.said === 'not-frozen') {
      return report.reason;
    }
    const isGone = this.hasExited || this.isBroken;
    return isGone ? 'the guard process ended' : 'the guest agent did not answer in time';
  }

  /** Orders a thaw and waits for the guest's answer. Without an answer the guard goes on trying. */
  async thaw(): Promise<ThawOutcome> {
    this.send({ order: 'thaw' });
    const report = await this.next('thawed', THAW_MS_MAX, 'not-thawed');
    this.isDone = report?.said === 'thawed';
    if (report?.said !== 'thawed') {
      return { isThawed: false, wasFrozenThroughout: false, frozenMs: 0 };
    }
    return {
      isThawed: true,
      wasFrozenThroughout: report.why === 'told',
      frozenMs: report.frozenMs,
    };
  }

  /**
   * Closes the pipe: a guard that still has something to thaw goes on trying. Waits for its end
   * only if that comes at once.
   */
  async close(): Promise<void> {
    this.input.end();
    if (this.isDone || this.child.exitCode !== null) {
      await this.exited;
      return;
    }
    this.child.unref();
    this.input.destroy();
    this.output.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private receive(piece: Buffer): void {
    if (this.isBroken) {
      return;
    }
    try {
      this.lines.count(piece.length);
      const said = this.lines.push(piece, REPORTS_MAX - this.reports.length);
      this.reports.push(...said.map((report) => GuardReport.parse(report)));
    } catch {
      // It still thaws by itself; here it counts as a guard that has ended.
      this.isBroken = true;
    }
    this.wake();
  }

  private send(order: GuardOrder): void {
    this.input.write(`${JSON.stringify(order)}\n`);
  }

  /**
   * Returns the next report called `first` (or `second`); undefined if the guard ends or is late.
   */
  private async next(
    first: GuardReport['said'],
    limitMs: number,
    second = first,
  ): Promise<GuardReport | undefined> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const index = this.reports.findIndex(({ said }) => said === first || said === second);
      if (index >= 0) {
        return this.reports.splice(index, 1)[0];
      }
      const leftMs = deadline - performance.now();
      if (this.hasExited || this.isBroken || leftMs <= 0) {
        return undefined;
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
