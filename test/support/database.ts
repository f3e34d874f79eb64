import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { acquireTestServer } from './postgres.ts';

export interface TestDatabase {
  readonly url: string;
  /** Runs one statement and returns its rows. */
  run(statement: string): Promise<unknown[]>;
  drop(): Promise<void>;
}

/** An empty database of its own in the PostgreSQL of this test run. Close connections, then drop. */
export async function createDatabase(): Promise<TestDatabase> {
  const testServer = await acquireTestServer();
  const server = testServer.url;
  const name = `test_${randomBytes(6).toString('hex')}`;
  await administer(server, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    run: (statement) => administer(url.href, statement),
    drop: async () => {
      await administer(server, `DROP DATABASE ${name} WITH (FORCE)`);
      await testServer.release();
    },
  };
}

async function administer(url: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(statement);
    return rows;
  } finally {
    await client.end();
  }
}
