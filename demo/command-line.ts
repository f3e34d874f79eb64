import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Story } from './story.ts';

const PROGRAM = join(import.meta.dirname, '..', 'bin', 'hyperkeep.mjs');
/** The service starts PostgreSQL and answers; ten times what a slow machine needs. */
const START_TIMEOUT_MS = 120_000;

/** Runs the built product as a person does, by its command line. */
export class CommandLine {
  private readonly story: Story;
  private readonly environment: NodeJS.ProcessEnv;

  constructor(story: Story, environment: Readonly<Record<string, string>>) {
    this.story = story;
    this.environment = { ...process.env, ...environment };
  }

  /** Shows the command, runs it with `--json`, and returns its document. */
  async run(words: readonly string[], signal: AbortSignal): Promise<unknown> {
    this.story.command(words);
    return this.runSilently(words, signal);
  }

  /** Shows the command and what it prints for people. @param exitCodes that are no failure */
  async show(words: readonly string[], signal: AbortSignal, exitCodes = [0]): Promise<void> {
    this.story.command(words);
    const text = await this.output(words, signal, exitCodes);
    for (const line of text.trimEnd().split('\n')) {
      this.story.say(`  ${line}`);
    }
  }

  async runSilently(words: readonly string[], signal: AbortSignal): Promise<unknown> {
    return JSON.parse(await this.output([...words, '--json'], signal)) as unknown;
  }

  private async output(
    words: readonly string[],
    signal: AbortSignal,
    exitCodes = [0],
  ): Promise<string> {
    signal.throwIfAborted();
    const child = spawn(process.execPath, [PROGRAM, ...words], {
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output: Buffer[] = [];
    const errors: Buffer[] = [];
    child.stdout.on('data', (piece: Buffer) => output.push(piece));
    child.stderr.on('data', (piece: Buffer) => errors.push(piece));
    const stop = (): void => {
      child.kill('SIGINT');
    };
    signal.addEventListener('abort', stop, { once: true });
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => {
        resolve(code ?? -1);
      });
    });
    signal.removeEventListener('abort', stop);
    signal.throwIfAborted();
    if (!exitCodes.includes(exitCode)) {
      const said = Buffer.concat(errors).toString().trim();
      throw new Error(`hyperkeep ${words.join(' ')} ended with ${String(exitCode)}:\n${said}`);
    }
    return Buffer.concat(output).toString();
  }

  /** Starts `hyperkeep serve` and returns when it answers. */
  async serve(signal: AbortSignal): Promise<RunningService> {
    this.story.command(['serve']);
    return this.serveBy([PROGRAM, 'serve'], signal);
  }

  /** Starts a service by another program than the command line. */
  async serveBy(program: readonly string[], signal: AbortSignal): Promise<RunningService> {
    const child = spawn(process.execPath, program, {
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: Ctrl-C reaches the demo, which still needs the service to stop the VMs.
      detached: true,
    });
    const service = new RunningService(child);
    try {
      await service.listening(AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)]));
    } catch (error) {
      await service.stop();
      throw error;
    }
    return service;
  }
}

/** Lines of what the service said that are kept for an error message. */
const TAIL_LINES = 40;

/** A service of our own; stopping it ends it gracefully. */
export class RunningService {
  private readonly child: ChildProcess;
  private readonly ended: Promise<number>;
  private tail: string[] = [];
  private heard: (text: string) => void = () => undefined;
  /** Called with each line that the service logs. */
  onLog: (line: string) => void = () => undefined;

  constructor(child: ChildProcess) {
    this.child = child;
    this.ended = new Promise((resolve) => {
      child.on('close', (code) => {
        resolve(code ?? -1);
      });
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.tail = [...this.tail, ...text.split('\n')].slice(-TAIL_LINES);
        this.heard(text);
      });
    }
    if (child.stderr !== null) {
      createInterface({ input: child.stderr }).on('line', (line) => {
        this.onLog(line);
      });
    }
  }

  async listening(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let said = '';
      this.heard = (text): void => {
        said += text;
        if (/listen/i.test(said)) {
          resolve();
        }
      };
      void this.ended.then((code) => {
        reject(new Error(`The service ended with ${String(code)}:\n${this.tail.join('\n')}`));
      });
      signal.addEventListener('abort', () => {
        reject(new Error(`The service does not answer:\n${this.tail.join('\n')}`));
      });
    });
    this.heard = (): void => undefined;
  }

  /** Ends it like the kernel's OOM killer does. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    await this.ended;
  }
}
