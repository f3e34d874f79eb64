import { Client } from 'pg';
import { HeldFolder } from '../../kernel/files/held-folder.ts';
import type { Log } from '../../kernel/log.ts';
import { KeptServer } from './kept-server.ts';
import {
  DATABASE_USER,
  majorOfCluster,
  makeCluster,
  prepareFolders,
  readPassword,
} from './postgres-cluster.ts';
import { findPostgres, type ProgramSource } from './postgres-programs.ts';
import { PostgresProcess } from './postgres-process.ts';
import { stopSurvivor } from './postgres-survivor.ts';

const DATABASE = 'hyperkeep';
const CONNECT_TIMEOUT_MS = 10_000;

export interface EmbeddedPostgresOptions {
  /**
   * Our own folder, held by this process, for `postgres/`, `postgres.password` and `postgres.log`.
   */
  readonly home: string;
  /** Which programs may be used. Default: any. */
  readonly source?: ProgramSource;
}

/** How to reach the database; `host` is the folder of its unix socket, as this process sees it. */
export interface PostgresConnection {
  readonly host: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/**
 * A running PostgreSQL of our own, started again whenever it ends by itself. Disposing stops it;
 * connections must be closed before.
 */
export interface EmbeddedPostgres extends AsyncDisposable {
  readonly connection: PostgresConnection;
  readonly major: number;
  /** Changes with a restart. */
  readonly pid: number;
  /** Ends it at once, without waiting; the next start recovers. */
  abandon(): void;
  /** Writes a checkpoint, so that a stop has less to do. Does not fail. */
  checkpoint(): Promise<void>;
}

/**
 * Starts the PostgreSQL of this home, after making its cluster if there is none: only a unix
 * socket, a password (scram) in a 0600 file, data checksums. If it or this process was killed with
 * -9, the next start recovers; a server that outlived its service is stopped first.
 * @throws Fault `database.programs-missing`, `database.folder-closed`, `database.start-failed`
 */
export async function startEmbeddedPostgres(
  { home, source = 'any' }: EmbeddedPostgresOptions,
  log: Log,
  signal: AbortSignal,
): Promise<EmbeddedPostgres> {
  const startedMs = performance.now();
  const cluster = await prepareFolders(home);
  await stopSurvivor(cluster, log, signal);
  const clusterMajor = await majorOfCluster(cluster);
  const programs = await findPostgres(
    { source, storeFolder: cluster.folder, clusterMajor },
    cluster.owner,
    signal,
  );
  const password =
    clusterMajor === undefined
      ? await makeCluster(cluster, programs, signal)
      : await readPassword(cluster.home);
  const start = async (until: AbortSignal) => PostgresProcess.start(cluster, programs, until);
  const server = new KeptServer(await start(signal), start, log);
  const socket = await HeldFolder.open(cluster.socket);
  const connection = { host: socket.inside(), user: DATABASE_USER, password, database: DATABASE };
  try {
    await ensureDatabase(connection);
  } catch (error) {
    await server.stop();
    await socket.close();
    throw error;
  }
  const durationMs = Math.round(performance.now() - startedMs);
  log.info('database.started', { version: programs.major, user: cluster.owner.name, durationMs });
  return {
    connection,
    major: programs.major,
    get pid() {
      return server.pid;
    },
    abandon: () => {
      server.abandon();
    },
    checkpoint: async () => {
      await withClient(connection, async (client) => client.query('CHECKPOINT')).catch(
        (error: unknown) => {
          log.debug('database.no-checkpoint', { error });
        },
      );
    },
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await socket.close();
      log.info('database.stopped', {});
    },
  };
}

async function ensureDatabase(connection: PostgresConnection): Promise<void> {
  await withClient(connection, async (client) => {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (found.rowCount === 0) {
      await client.query(`CREATE DATABASE ${DATABASE}`);
    }
  });
}

async function withClient(
  connection: PostgresConnection,
  use: (client: Client) => Promise<unknown>,
): Promise<void> {
  const client = new Client({
    ...connection,
    database: 'postgres',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // Waiting queries get the error.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}
