import { spawn, type ChildProcess } from 'node:child_process';
import { join, relative } from 'node:path';
import { MiB } from '../../kernel/text/bytes.ts';
import { Fault, systemCode } from '../../kernel/fault.ts';
import { watch, readFile, readlink } from '../../kernel/files/files.ts';
import type { Log } from '../../kernel/log.ts';
import { plainWords } from '../../kernel/text/plain-text.ts';
import { LimitedFile } from './limited-file.ts';
import { environmentIn, type Cluster } from './postgres-cluster.ts';
import { nothingIfMissing } from './postgres-owner.ts';
import type { PostgresPrograms } from './postgres-programs.ts';

const LOG_BYTES_MAX = 8 * MiB;
/** Recovery after a power cut replays at most max_wal_size, which takes a while on a slow disk. */
const READY_TIMEOUT_MS = 120_000;
/**
 * A fast stop writes a checkpoint; after this time the server is stopped without one and recovers
 * later.
 */
const STOP_TIMEOUT_MS = 30_000;
const EXIT_POLL_MS = 50;
/** How much of PostgreSQL's output an error message can carry. */
const MESSAGE_CHARACTERS_MAX = 600;

const SETTINGS = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '50',
  shared_buffers: '64MB',
  max_wal_size: '256MB',
  logging_collector: 'off',
  log_destination: 'stderr',
  log_checkpoints: 'off',
  // Statements contain values, which must stay out of the log.
  log_min_error_statement: 'panic',
  log_line_prefix: '%m ',
};

/** Returns the process in postmaster.pid, if it is alive and really the server of this cluster. */
async function survivor({ data }: Cluster): Promise<number | undefined> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(nothingIfMissing);
  const pid = Number.parseInt(text ?? '', 10);
  if (!Number.isSafeInteger(pid) || pid <= 1) {
    return undefined;
  }
  // Another process may have this number since: the server's working folder is its data folder.
  const folder = await readlink(`/proc/${String(pid)}/cwd`).catch((error: unknown) => {
    if (!['ENOENT', 'EACCES', 'ESRCH'].includes(systemCode(error) ?? '')) {
      throw error;
    }
    return undefined;
  });
  return folder === data ? pid : undefined;
}

/** Stops a server that outlived the process that started it. */
export async function stopSurvivor(cluster: Cluster, log: Log, signal: AbortSignal): Promise<void> {
  const pid = await survivor(cluster);
  if (pid === undefined) {
    return;
  }
  log.warn('database.found-running', { pid });
  const deadlineMs = performance.now() + STOP_TIMEOUT_MS;
  send(pid, 'SIGINT');
  // It is not our child, so nothing reports its end.
  while ((await survivor(cluster)) === pid) {
    signal.throwIfAborted();
    if (performance.now() > deadlineMs) {
      send(pid, 'SIGQUIT');
    }
    await new Promise((resolve) => setTimeout(resolve, EXIT_POLL_MS));
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It has already ended, as intended.
    if (systemCode(error) !== 'ESRCH') {
      throw error;
    }
  }
}

/** A server process that accepts connections. */
export interface Server {
  readonly pid: number;
  /** Resolves when it has ended, for whatever reason, with its last output. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
  /** Ends it without a checkpoint and without waiting. */
  abandon(): void;
}

/** @throws Fault `database.start-failed` */
export async function startServer(
  cluster: Cluster,
  programs: PostgresPrograms,
  signal: AbortSignal,
): Promise<Server> {
  signal.throwIfAborted();
  const settings = { ...SETTINGS, unix_socket_directories: relative(cluster.data, cluster.socket) };
  const child = spawn(
    join(programs.folder, 'postgres'),
    ['-D', cluster.data, ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])],
    {
      cwd: cluster.folder,
      env: environmentIn(cluster.folder),
      stdio: ['ignore', 'ignore', 'pipe'],
      // Ctrl-C on a terminal goes to the whole group, but we decide when the database stops.
      detached: true,
      ...cluster.owner.ids,
    },
  );
  const file = new LimitedFile(join(cluster.home, 'postgres.log'), LOG_BYTES_MAX);
  let said = '';
  child.stderr.on('data', (piece: Buffer) => {
    file.write(piece);
    said = (said + piece.toString('utf8')).slice(-MESSAGE_CHARACTERS_MAX);
  });
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      said = error.message;
      resolve();
    });
    child.once('close', () => {
      resolve();
    });
  });
  const stop = async (): Promise<void> => {
    await stopChild(child, ended);
    await file.close();
  };
  try {
    await waitUntilReady(cluster, child, ended, signal);
  } catch (error) {
    await stop();
    if (!(error instanceof NotReady)) {
      throw error;
    }
    throw new Fault(
      'database.start-failed',
      `PostgreSQL did not start (its log: ${join(cluster.home, 'postgres.log')}): ${plainWords(said, MESSAGE_CHARACTERS_MAX, 'end')}`,
      { home: cluster.home },
    );
  }
  return {
    pid: child.pid ?? 0,
    ended: ended.then(async () => {
      await file.close();
      return plainWords(said, MESSAGE_CHARACTERS_MAX, 'end');
    }),
    stop,
    abandon: () => child.kill('SIGQUIT'),
  };
}

async function stopChild(child: ChildProcess, ended: Promise<void>): Promise<void> {
  // A fast stop ends sessions and writes a checkpoint. If it takes too long, stops without a
  // checkpoint.
  child.kill('SIGINT');
  const impatient = setTimeout(() => child.kill('SIGQUIT'), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(impatient);
}

class NotReady extends Error {}

/** The server writes its state to postmaster.pid: line 1 its process, line 8 `ready`. */
async function isReady({ data }: Cluster, pid: number | undefined): Promise<boolean> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(nothingIfMissing);
  const lines = (text ?? '').split('\n');
  return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
}

async function waitUntilReady(
  cluster: Cluster,
  child: ChildProcess,
  ended: Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const watcher = watch(cluster.data, () => {
      look();
    });
    const finish = (error?: Error): void => {
      watcher.close();
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      if (error === undefined) {
        resolve();
      } else {
        reject(error);
      }
    };
    const look = (): void => {
      isReady(cluster, child.pid).then(
        (ready) => {
          if (ready) {
            finish();
          }
        },
        (error: unknown) => {
          finish(asError(error));
        },
      );
    };
    const abort = (): void => {
      finish(asError(signal.reason));
    };
    const timer = setTimeout(() => {
      finish(new NotReady());
    }, READY_TIMEOUT_MS);
    signal.addEventListener('abort', abort, { once: true });
    void ended.then(() => {
      finish(new NotReady());
    });
    look();
  });
}

function asError(thrown: unknown): Error {
  return Error.isError(thrown) ? thrown : new Error('not an error was thrown', { cause: thrown });
}
