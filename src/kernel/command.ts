import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Fault, systemCode } from './fault.ts';
import { plainWords } from './text/plain-text.ts';
import { systemFault } from './files/system-fault.ts';

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
  const limit = options.outputBytesMax ?? OUTPUT_BYTES_MAX;
  const captured = { stdout: [] as Buffer[], stderr: [] as Buffer[], size: 0 };
  // A grandchild may hold the pipes open after the child is gone, so our ends are closed as well.
  const end = (): void => {
    child.kill('SIGKILL');
    child.stdout.destroy();
    child.stderr.destroy();
  };
  signal.addEventListener('abort', end, { once: true });
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (piece: Buffer) => {
      captured.size += piece.length;
      if (captured.size > limit) {
        end();
        return;
      }
      captured[name].push(piece);
    });
  }
  // The child may exit before it has read its input; its exit code says more than EPIPE.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input);
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      resolve(code ?? -1);
    });
  }).finally(() => {
    signal.removeEventListener('abort', end);
  });
  signal.throwIfAborted();
  const stdout = Buffer.concat(captured.stdout).toString('utf8');
  const stderr = Buffer.concat(captured.stderr).toString('utf8');
  if (captured.size > limit || !(options.accept ?? [0]).includes(exitCode)) {
    const said = plainWords(stderr, MESSAGE_CHARACTERS_MAX, 'end');
    throw new Fault('command.failed', `${file} failed (exit ${String(exitCode)}): ${said}`, {
      file,
      exitCode,
    });
  }
  return { exitCode, stdout, stderr };
}
