import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
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

  /** Shows the command and what it prints for people. */
  async show(words: readonly string[], signal: AbortSignal): Promise<void> {
    this.story.command(words);
    const text = await this.output(words, signal);
    for (const line of text.trimEnd().split('\n')) {
      this.story.say(`  ${line}`);
    }
  }

  async runSilently(words: readonly string[], signal: AbortSignal): Promise<unknown> {
    return JSON.parse(await this.output([...words, '--json'], signal)) as unknown;
  }

  private async output(words: readonly string[], signal: AbortSignal): Promise<string> {
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
    if (exitCode !== 0) {
      const said = Buffer.concat(errors).toString().trim();
      throw new Error(`hyperkeep ${words.join(' ')} ended with ${String(exitCode)}:\n${said}`);
    }
    return Buffer.concat(output).toString();
  }

  /** Starts `hyperkeep serve` and returns when it answers. */
  async serve(signal: AbortSignal): Promise<RunningService> {
    this.story.command(['serve']);
    const child = spawn(process.execPath, [PROGRAM, 'serve'], {
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
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

  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    await this.ended;
  }
}
