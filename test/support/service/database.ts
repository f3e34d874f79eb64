import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { acquireTestServer } from './postgres.ts';

export interface TestDatabase {
  readonly url: string;
  /** Runs one statement and returns its rows. */
  readonly run: (statement: string) => Promise<unknown[]>;
  readonly drop: () => Promise<void>;
}

/** An empty database of its own in the PostgreSQL of this test run. */
export async function createDatabase(): Promise<TestDatabase> {
  const server = await acquireTestServer();
  const name = `test_${randomBytes(6).toString('hex')}`;
  await administer(server.url, `CREATE DATABASE ${name}`);
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    run: (statement) => administer(url.href, statement),
    drop: async () => {
      await administer(server.url, `DROP DATABASE ${name} WITH (FORCE)`);
      await server.release();
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
