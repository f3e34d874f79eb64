import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { join, relative } from 'node:path';
import type { Readable } from 'node:stream';
import { Fault } from '../../kernel/fault.ts';
import { readFile, watch } from '../../kernel/files/files.ts';
import { MiB } from '../../kernel/text/bytes.ts';
import { plainWords } from '../../kernel/text/plain-text.ts';
import { abortable } from '../../kernel/waiting/abortable.ts';
import { Bell } from '../../kernel/waiting/bell.ts';
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
export const STOP_TIMEOUT_MS = 30_000;
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

/** A server process that we started. */
export class PostgresProcess {
  readonly pid: number;
  /** Resolves when it has ended, for whatever reason, with its last output. */
  readonly ended: Promise<string>;
  private readonly cluster: Cluster;
  private readonly child: ChildProcessByStdio<null, null, Readable>;

  private constructor(cluster: Cluster, programs: PostgresPrograms) {
    this.cluster = cluster;
    this.child = spawnServer(cluster, programs);
    this.pid = this.child.pid ?? 0;
    this.ended = this.listen();
  }

  /**
   * Returns once the server accepts connections.
   * @throws Fault `database.start-failed`
   */
  static async start(
    cluster: Cluster,
    programs: PostgresPrograms,
    signal: AbortSignal,
  ): Promise<PostgresProcess> {
    signal.throwIfAborted();
    const server = new PostgresProcess(cluster, programs);
    let isReady = false;
    try {
      isReady = await server.becomesReady(signal);
    } finally {
      if (!isReady) {
        await server.stop();
      }
    }
    if (!isReady) {
      throw startFailed(cluster, await server.ended);
    }
    return server;
  }

  /** Ends sessions and writes a checkpoint; without one if that takes too long. */
  async stop(): Promise<void> {
    this.child.kill('SIGINT');
    const impatient = setTimeout(() => this.child.kill('SIGQUIT'), STOP_TIMEOUT_MS);
    await this.ended;
    clearTimeout(impatient);
  }

  /** Ends it without a checkpoint and without waiting. */
  abandon(): void {
    this.child.kill('SIGQUIT');
  }

  /** Writes its output to the log until it has ended. */
  private async listen(): Promise<string> {
    const file = new LimitedFile(logOf(this.cluster), LOG_BYTES_MAX);
    let said = '';
    this.child.stderr.on('data', (piece: Buffer) => {
      file.write(piece);
      said = (said + piece.toString('utf8')).slice(-MESSAGE_CHARACTERS_MAX);
    });
    await new Promise<void>((resolve) => {
      this.child.once('error', (error) => {
        said = error.message;
        resolve();
      });
      this.child.once('close', () => {
        resolve();
      });
    });
    await file.close();
    return plainWords(said, MESSAGE_CHARACTERS_MAX, 'end');
  }

  /** Returns false if it ended instead, or takes too long. */
  private async becomesReady(signal: AbortSignal): Promise<boolean> {
    const tooLate = AbortSignal.timeout(READY_TIMEOUT_MS);
    const changed = new Bell();
    const watcher = watch(this.cluster.data, () => {
      changed.ring();
    });
    try {
      return await abortable(
        Promise.race([this.saysReady(changed), this.ended.then(() => false)]),
        AbortSignal.any([signal, tooLate]),
      );
    } catch (error) {
      if (error === tooLate.reason) {
        return false;
      }
      throw error;
    } finally {
      watcher.close();
    }
  }

  /** The server writes its state to postmaster.pid: line 1 its process, line 8 `ready`. */
  private async saysReady(changed: Bell): Promise<true> {
    for (;;) {
      const change = changed.wait();
      const path = join(this.cluster.data, 'postmaster.pid');
      const text = await readFile(path, 'utf8').catch(nothingIfMissing);
      const lines = (text ?? '').split('\n');
      if (lines[0] === String(this.pid) && lines[7]?.trim() === 'ready') {
        return true;
      }
      await change;
    }
  }
}

function spawnServer(
  cluster: Cluster,
  programs: PostgresPrograms,
): ChildProcessByStdio<null, null, Readable> {
  const settings = { ...SETTINGS, unix_socket_directories: relative(cluster.data, cluster.socket) };
  return spawn(
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
}

function logOf({ home }: Cluster): string {
  return join(home, 'postgres.log');
}

function startFailed(cluster: Cluster, said: string): Fault {
  return new Fault(
    'database.start-failed',
    `PostgreSQL did not start (its log: ${logOf(cluster)}): ${said}`,
    { home: cluster.home },
  );
}
