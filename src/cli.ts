import { userInfo } from 'node:os';
import { join } from 'node:path';
import { EXIT_BROKEN_PIPE, EXIT_INTERRUPTED } from './cli/faults/fault-report.ts';
import { runCli } from './cli/program.ts';
import { SystemClock } from './kernel/clock.ts';
import { Fault, systemCode } from './kernel/fault.ts';
import { readFileSync } from './kernel/files/files.ts';
import { readClientConfig, readVaultDefaults } from './platform/config/cli-settings.ts';
import { readConfig } from './platform/config/config.ts';
import { endAtOnce, endIfIdle } from './platform/end-at-once.ts';
import { StopDeadline } from './platform/stop-deadline.ts';
import {
  PASSPHRASE_NAMES,
  takePassphrase,
  type PassphraseName,
} from './platform/config/passphrase.ts';

/*
 * The entry point of the command line: binds commands to this process.
 */

/** 128 + SIGTERM, as shells report it. */
const EXIT_TERMINATED = 143;

/** Supervisors kill after 90 s or 10 s; the next start repairs what is not finished by then. */
const STOP_MS_MAX = 9000;

function readVersion(): string {
  const { version } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  return version;
}

/** Runs `read`. Wrong settings or a wrong passphrase file are the user's to correct, and no bug. */
function corrected<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (error instanceof Fault) {
      throw error;
    }
    const { message } = error as Error;
    throw new Fault('request.invalid', message, {}, { cause: error });
  }
}

/** Reads settings, and removes secrets from the environment, before anything else runs. */
function readPassphrasesOnce(): (which?: PassphraseName) => Promise<string | undefined> {
  const taken = new Map(PASSPHRASE_NAMES.map((name) => [name, takenOnce(name)]));
  return async (which = 'vault') => taken.get(which)?.();
}

function takenOnce(name: PassphraseName): () => string | undefined {
  try {
    // eslint-disable-next-line no-restricted-properties -- platform/config reads and empties it
    const passphrase = corrected(() => takePassphrase(process.env, name));
    return () => passphrase;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

/** The first signal asks commands to stop; the second ends them at once. */
function stopSignal(): { signal: AbortSignal; exitCode: () => number | undefined } {
  const controller = new AbortController();
  let exitCode: number | undefined;
  for (const [name, code] of [
    ['SIGINT', EXIT_INTERRUPTED],
    ['SIGTERM', EXIT_TERMINATED],
  ] as const) {
    process.on(name, () => {
      if (exitCode !== undefined) {
        process.exit(code);
      }
      exitCode = code;
      controller.abort();
    });
  }
  return { signal: controller.signal, exitCode: () => exitCode };
}

async function main(): Promise<void> {
  const ran = { service: false };
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (systemCode(error) === 'EPIPE') {
        process.exit(EXIT_BROKEN_PIPE);
      }
      throw error;
    });
  }
  const readPassphrase = readPassphrasesOnce();
  const stop = stopSignal();
  const { homedir: homeFolder, uid: userId } = userInfo();
  // eslint-disable-next-line no-restricted-properties -- handed to platform/config
  const variables = process.env;
  const owner = { userId, homeFolder };
  const version = readVersion();
  const code = await runCli(
    process.argv.slice(2),
    {
      terminal: { output: process.stdout, errors: process.stderr, input: process.stdin },
      clock: new SystemClock(),
      version,
      workingFolder: process.cwd(),
      cacheFolder: join(variables['XDG_CACHE_HOME'] ?? join(homeFolder, '.cache'), 'hyperkeep'),
      vaultDefaults: readVaultDefaults(variables),
      readSettings: () => corrected(() => readClientConfig(variables, owner)),
      readPassphrase,
      serve: async (signal, { role, waitsForOlder }) => {
        const config = corrected(() => readConfig(variables, owner));
        // Temporary files, sockets too, go to a folder that nobody else can enter.
        variables['TMPDIR'] = config.runFolder;
        const { serve } = await import('./main.ts'); // All of Nest: only for the service.
        ran.service = true;
        const { stdout: output, stderr: errors } = process;
        const deadline = new StopDeadline(signal, STOP_MS_MAX, endAtOnce);
        const retentionPassphrase = role && (await readPassphrase('retention'));
        const own = { role, retentionPassphrase, waitsForOlder };
        await serve({ config, version, output, errors, deadline, ...own }, signal);
      },
    },
    stop.signal,
  );
  // A service that was asked to stop, and did so in order, has succeeded.
  process.exitCode = code === EXIT_INTERRUPTED ? (stop.exitCode() ?? code) : code;
  if (ran.service) {
    endIfIdle();
  }
}

await main();
