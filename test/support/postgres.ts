import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { SilentLog } from '../../src/kernel/log.ts';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type PostgresConnection,
} from '../../src/platform/database/embedded-postgres.ts';

/** A database of one test suite. Disposing drops it, and stops the server with the last one. */
export interface TestDatabase extends AsyncDisposable {
  readonly connection: PostgresConnection;
}

interface TestServer extends AsyncDisposable {
  readonly connection: PostgresConnection;
  users: number;
}

let server: Promise<TestServer> | undefined;

async function startServer(): Promise<TestServer> {
  const home = await mkdtemp(join(tmpdir(), 'hk-pg-'));
  let postgres: EmbeddedPostgres | undefined;
  try {
    postgres = await startEmbeddedPostgres({ home }, new SilentLog(), new AbortController().signal);
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
  const { connection } = postgres;
  return {
    connection,
    users: 0,
    [Symbol.asyncDispose]: async () => {
      await postgres[Symbol.asyncDispose]();
      await rm(home, { recursive: true, force: true });
    },
  };
}

async function administer(connection: PostgresConnection, statement: string): Promise<void> {
  const client = new Client({ ...connection, database: 'postgres' });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/**
 * An empty database on a real PostgreSQL: one server per test file, started with the first database
 * and stopped with the last. Close your connections before disposing.
 */
export async function openTestDatabase(): Promise<TestDatabase> {
  const starting = (server ??= startServer());
  const running = await starting.catch((error: unknown) => {
    server = undefined;
    throw error;
  });
  running.users += 1;
  const database = `test_${randomBytes(6).toString('hex')}`;
  await administer(running.connection, `CREATE DATABASE ${database}`);
  return {
    connection: { ...running.connection, database },
    [Symbol.asyncDispose]: async () => {
      await administer(running.connection, `DROP DATABASE ${database} WITH (FORCE)`);
      running.users -= 1;
      if (running.users === 0) {
        server = undefined;
        await running[Symbol.asyncDispose]();
      }
    },
  };
}
