import { SystemClock } from '../../../src/kernel/clock.ts';
import type { CliEnvironment } from '../../../src/cli/cli-environment.ts';
import { runCli } from '../../../src/cli/program.ts';
import { TextBuffer, TypedInput } from './terminal-buffers.ts';
import '../vault/cheap-keys.ts';

export interface CliRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliRunOptions {
  readonly folder: string;
  readonly passphrase?: string;
  readonly retentionPassphrase?: string;
  readonly newPassphrase?: string;
  readonly environment?: Partial<CliEnvironment>;
  readonly signal?: AbortSignal;
  readonly input?: TypedInput;
  readonly terminal?: boolean;
}

interface CliWorld {
  readonly environment: CliEnvironment;
  readonly output: TextBuffer;
  readonly errors: TextBuffer;
}

/** A command line in `folder` whose streams are buffers. */
export function cliEnvironment(options: CliRunOptions): CliWorld {
  const output = new TextBuffer();
  const errors = new TextBuffer(options.terminal ?? false);
  const environment: CliEnvironment = {
    terminal: { output, errors, input: options.input ?? new TypedInput() },
    clock: new SystemClock(),
    version: '0.0.0',
    workingFolder: options.folder,
    cacheFolder: `${options.folder}/cache`,
    timeZone: 'UTC',
    readSettings: () => ({ homeFolder: `${options.folder}/home` }),
    readPassphrase: async (which = 'vault') =>
      ({
        vault: options.passphrase,
        retention: options.retentionPassphrase,
        new: options.newPassphrase,
      })[which],
    serve: async () => undefined,
    ...options.environment,
  };
  return { environment, output, errors };
}

/** Runs the command line in this process as a user in `folder` would. */
export async function cliRun(
  parameters: readonly string[],
  options: CliRunOptions,
): Promise<CliRun> {
  const { environment, output, errors } = cliEnvironment(options);
  const signal = options.signal ?? new AbortController().signal;
  const exitCode = await runCli(parameters, environment, signal);
  return { exitCode, stdout: output.text, stderr: errors.text };
}
