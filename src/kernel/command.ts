import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { Fault, systemCode } from './fault.ts';
import { plainWords } from './text/plain-text.ts';
import { systemFault } from './files/system-fault.ts';
import { showLife } from './signs-of-life.ts';

/** A program that runs is a sign that its caller goes on. */
const LIFE_MS = 30_000;

export interface CommandOptions {
  /**
   * Replaces the environment of the child. Default: only PATH, HOME, LANG=C and TZ, so that secrets
   * never leak.
   */
  readonly environment?: Readonly<Record<string, string>>;
  readonly workingFolder?: string;
  /** Runs the child as this user and group; only root can. Drops supplementary groups. */
  readonly uid?: number;
  readonly gid?: number;
  /** Written to the child's standard input, which is closed afterwards. */
  readonly input?: string | Uint8Array;
  /** More output than this ends the child. Default 16 MiB. */
  readonly outputBytesMax?: number;
  /** Exit codes that are a result and not a failure. Default: only 0. */
  readonly accept?: readonly number[];
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
/** How much of standard error an error message can carry. */
const MESSAGE_CHARACTERS_MAX = 600;

/** Returns the environment for children: enough to run a tool, nothing that could be a secret. */
export function plainEnvironment(): Record<string, string> {
  // eslint-disable-next-line no-restricted-properties -- the one place that hands an environment to children
  const { PATH = '/usr/sbin:/usr/bin:/sbin:/bin', HOME = '/', TZ } = process.env;
  return { PATH, HOME, LANG: 'C', ...(TZ === undefined ? {} : { TZ }) };
}

/**
 * Checks a child right after its spawn. A child that was not started may lack its streams too.
 *
 * @param file name of the program for people
 * @throws Fault `command.missing` if there is no such program, otherwise the system's error
 */
export async function requireStart(child: ChildProcess, file: string): Promise<void> {
  if (child.pid !== undefined) {
    return;
  }
  const [error] = (await once(child, 'error')) as [unknown];
  throw systemCode(error) === 'ENOENT'
    ? new Fault(
        'command.missing',
        `The program ${file} is not installed.`,
        { file },
        { cause: error },
      )
    : systemFault(error, file);
}

/**
 * Runs a program to its end and returns what it printed.
 *
 * @throws Fault `command.missing` if there is no such program, `command.failed` if it exits with a
 *   code that is not accepted or prints too much, `file.denied`, `host.limit-reached` if the system
 *   does not start it; AbortError if `signal` fires (the child is killed first)
 */
export async function runCommand(
  file: string,
  parameters: readonly string[],
  signal: AbortSignal,
  options: CommandOptions = {},
): Promise<CommandResult> {
  signal.throwIfAborted();
  const child = spawn(file, parameters, {
    env: options.environment ?? plainEnvironment(),
    cwd: options.workingFolder,
    uid: options.uid,
    gid: options.gid,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // Awaited only without a pid: a wait in every case could miss an abort.
  if (child.pid === undefined) {
    await requireStart(child, file);
  }
  const output = new Output(child, options.outputBytesMax ?? OUTPUT_BYTES_MAX);
  // The child may exit before it has read its input; its exit code says more than EPIPE.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input);
  const exitCode = await exitOf(child, output, signal);
  signal.throwIfAborted();
  const { stdout, stderr } = output.texts();
  if (output.isTooMuch || !(options.accept ?? [0]).includes(exitCode)) {
    const said = plainWords(stderr, MESSAGE_CHARACTERS_MAX, 'end');
    throw new Fault('command.failed', `${file} failed (exit ${String(exitCode)}): ${said}`, {
      file,
      exitCode,
    });
  }
  return { exitCode, stdout, stderr };
}

/** Waits for the end of the child, which `signal` brings about if it fires. */
async function exitOf(child: ChildProcess, output: Output, signal: AbortSignal): Promise<number> {
  const end = (): void => {
    output.end();
  };
  signal.addEventListener('abort', end, { once: true });
  const signs = setInterval(showLife, LIFE_MS).unref();
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return code ?? -1;
  } finally {
    clearInterval(signs);
    signal.removeEventListener('abort', end);
  }
}

/** What a child prints. More than the limit ends the child. */
class Output {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #bytesMax: number;
  readonly #pieces = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  #bytes = 0;

  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>, bytesMax: number) {
    this.#child = child;
    this.#bytesMax = bytesMax;
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (piece: Buffer) => {
        this.#bytes += piece.length;
        if (this.isTooMuch) {
          this.end();
        } else {
          this.#pieces[name].push(piece);
        }
      });
    }
  }

  get isTooMuch(): boolean {
    return this.#bytes > this.#bytesMax;
  }

  /**
   * Ends the child. A grandchild may hold the pipes open after the child is gone, so our ends are
   * closed as well.
   */
  end(): void {
    this.#child.kill('SIGKILL');
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
  }

  texts(): { readonly stdout: string; readonly stderr: string } {
    const { stdout, stderr } = this.#pieces;
    return {
      stdout: Buffer.concat(stdout).toString('utf8'),
      stderr: Buffer.concat(stderr).toString('utf8'),
    };
  }
}
