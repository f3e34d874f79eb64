import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SilentLog } from '../../../src/kernel/log.ts';
import { startEmbeddedPostgres } from '../../../src/platform/database/embedded-postgres.ts';
import { endWithSignal } from '../end-with-signal.ts';

/** A PostgreSQL server whose user may create databases. */
export interface TestServer {
  readonly url: string;
  /** Call it when you are done; the last one stops the server. */
  release(): Promise<void>;
}

interface RunningServer extends AsyncDisposable {
  readonly url: string;
}

let running: Promise<RunningServer> | undefined;
let users = 0;

/** Starts a server in a folder of its own; disposing stops it and removes the folder. */
export async function startTestServer(): Promise<RunningServer> {
  const home = await mkdtemp(join(tmpdir(), 'hk-pg-'));
  try {
    const options = { home };
    const postgres = await startEmbeddedPostgres(
      options,
      new SilentLog(),
      new AbortController().signal,
    );
    const { host, user, password, database } = postgres.connection;
    // A host that is a folder does not fit in the first part of an address. It is reached through a
    // descriptor of this process; other processes of the tests reach it there as well.
    const folder = host.replace('/proc/self/', `/proc/${String(process.pid)}/`);
    const socket = encodeURIComponent(folder);
    const end = async (): Promise<void> => {
      await postgres[Symbol.asyncDispose]();
      await rm(home, { recursive: true, force: true });
    };
    const forget = endWithSignal(end);
    return {
      url: `postgresql://${user}:${password}@localhost/${database}?host=${socket}`,
      [Symbol.asyncDispose]: async () => {
        forget();
        await end();
      },
    };
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Returns the server of `DATABASE_URL`, or one for this test file that starts with the first call.
 */
export async function acquireTestServer(): Promise<TestServer> {
  const given = process.env['DATABASE_URL'];
  if (given !== undefined && given !== '') {
    return { url: given, release: async () => undefined };
  }
  users += 1;
  running ??= startTestServer();
  const starting = running;
  try {
    const { url } = await starting;
    return { url, release };
  } catch (error) {
    users -= 1;
    running = undefined;
    throw error;
  }
}

async function release(): Promise<void> {
  users -= 1;
  if (users === 0 && running !== undefined) {
    const last = running;
    running = undefined;
    await (await last)[Symbol.asyncDispose]();
  }
}
