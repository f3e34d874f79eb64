import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { runCommand } from '../../../src/kernel/command.ts';
import { isFault } from '../../../src/kernel/fault.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../../src/platform/database/embedded-postgres.ts';
import { majorOfCluster, prepareFolders } from '../../../src/platform/database/postgres-cluster.ts';
import { PostgresProcess } from '../../../src/platform/database/postgres-process.ts';
import { findPostgres } from '../../../src/platform/database/postgres-programs.ts';
import { createDatabase } from '../../support/service/database.ts';

const LOG = new SilentLog();
const SIGNAL = new AbortController().signal;

async function query(postgres: EmbeddedPostgres, text: string): Promise<unknown[]> {
  const client = new Client(postgres.connection);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Events by their names, as they come. */
class EventLog extends SilentLog {
  readonly events = new EventEmitter();
  readonly names: string[] = [];

  override error(event?: string): void {
    this.take(event);
  }

  override warn(event?: string): void {
    this.take(event);
  }

  override info(event?: string): void {
    this.take(event);
  }

  private take(event = ''): void {
    this.names.push(event);
    this.events.emit(event);
  }
}

async function runningIn(home: string): Promise<string> {
  const found = await runCommand('pgrep', ['-fa', `postgres -D ${home}`], SIGNAL, {
    accept: [0, 1],
  });
  return found.stdout;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a PostgreSQL of our own', () => {
  let home: string;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'hk-pg-'));
  });

  afterEach(async () => {
    await rm(home, { recursive: true });
  });

  it('is made, keeps its data over a stop, listens on no network and lets nobody in without the password', async () => {
    let pid: number;
    {
      await using postgres = await startEmbeddedPostgres({ home }, LOG, SIGNAL);
      pid = postgres.pid;
      await query(postgres, 'CREATE TABLE t AS SELECT 42 AS n');
      expect(await query(postgres, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '' }]);
      expect(await query(postgres, 'SHOW data_checksums')).toEqual([{ data_checksums: 'on' }]);
      const intruder = new Client({ ...postgres.connection, password: 'wrong' });
      await expect(intruder.connect()).rejects.toMatchObject({ code: '28P01' });
      expect((await stat(join(home, 'postgres.password'))).mode & 0o777).toBe(0o600);
      expect((await stat(join(home, 'postgres'))).mode & 0o777).toBe(0o700);
    }
    expect(isAlive(pid)).toBe(false);
    await using again = await startEmbeddedPostgres({ home }, LOG, SIGNAL);
    expect(await query(again, 'SELECT n FROM t')).toEqual([{ n: 42 }]);
  });

  /** Returns the pid of the server of a process that was killed after it started it. */
  async function abandonedServer(): Promise<number> {
    const url = new URL('../../support/service/embedded-postgres.main.ts', import.meta.url);
    const file = fileURLToPath(url);
    const owner = spawn(process.execPath, [file, home], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [pid] = (await once(owner.stdout, 'data')) as [Buffer];
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    return Number(pid.toString());
  }

  it('is started again each time it ends by itself, and says so', async () => {
    const log = new EventLog();
    const postgres = await startEmbeddedPostgres({ home }, log, SIGNAL);
    await query(postgres, 'CREATE TABLE t AS SELECT 42 AS n');
    for (let times = 1; times <= 2; times += 1) {
      const killed = postgres.pid;
      const restarted = once(log.events, 'database.restarted');
      process.kill(killed, 'SIGKILL');
      await restarted;
      expect(postgres.pid).not.toBe(killed);
      expect(await query(postgres, 'SELECT n FROM t')).toEqual([{ n: 42 }]);
    }
    await postgres[Symbol.asyncDispose]();
    expect(isAlive(postgres.pid)).toBe(false);
    expect(log.names.filter((name) => name === 'database.ended')).toHaveLength(2);
    expect(log.names.at(-1)).toBe('database.stopped');
  });

  it('stays ended when it was being stopped', async () => {
    const log = new EventLog();
    const postgres = await startEmbeddedPostgres({ home }, log, SIGNAL);
    const ended = once(log.events, 'database.ended');
    process.kill(postgres.pid, 'SIGKILL');
    await ended;

    await postgres[Symbol.asyncDispose]();

    expect(await runningIn(home)).toBe('');
  });

  it('has every committed row after kill -9 of the server', async () => {
    const first = await startEmbeddedPostgres({ home }, LOG, SIGNAL);
    await query(first, 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS n');
    process.kill(first.pid, 'SIGKILL');
    await first[Symbol.asyncDispose]();
    await using again = await startEmbeddedPostgres({ home }, LOG, SIGNAL);
    expect(await query(again, 'SELECT count(*)::int AS rows FROM t')).toEqual([{ rows: 1000 }]);
  });

  it('stops a server that outlived its owner, and does not mistake another process for one', async () => {
    const abandoned = await abandonedServer();
    {
      await using postgres = await startEmbeddedPostgres({ home }, LOG, SIGNAL);
      expect(postgres.pid).not.toBe(abandoned);
      // Dead processes of others may stay in the table.
      expect(await runningIn(home)).not.toContain(String(abandoned));
      await query(postgres, 'CREATE TABLE t AS SELECT 7 AS n');
    }
    // This process now has the number in the stale file: it must not be stopped.
    const stale = `${String(process.pid)}\n${join(home, 'postgres/data')}\n1\n5432\n\n\n\nready\n`;
    await writeFile(join(home, 'postgres/data/postmaster.pid'), stale);
    await using again = await startEmbeddedPostgres({ home }, LOG, SIGNAL);
    expect(await query(again, 'SELECT n FROM t')).toEqual([{ n: 7 }]);
  });

  it('begins anew after a kill in the middle of making the cluster', async () => {
    await mkdir(join(home, 'postgres/data.draft'), { recursive: true });
    await writeFile(join(home, 'postgres/data.draft/PG_VERSION'), '15\n');
    await writeFile(join(home, 'postgres/password.draft'), 'old');
    await using postgres = await startEmbeddedPostgres({ home }, LOG, SIGNAL);
    expect(await query(postgres, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  });

  it('says why it does not start, and leaves no process', async () => {
    {
      await using postgres = await startEmbeddedPostgres({ home }, LOG, SIGNAL);
      expect(postgres.major).toBeGreaterThanOrEqual(13);
    }
    await unlink(join(home, 'postgres/data/global/pg_control'));
    const failing = startEmbeddedPostgres({ home }, LOG, SIGNAL);
    await expect(failing).rejects.toMatchObject({
      code: 'database.start-failed',
      message: expect.stringContaining('pg_control') as string,
    });
    expect(await readFile(join(home, 'postgres.log'), 'utf8')).toContain('pg_control');
  });

  it('names the version that is missing when the cluster is of another', async () => {
    {
      await using postgres = await startEmbeddedPostgres({ home }, LOG, SIGNAL);
      expect(postgres.pid).toBeGreaterThan(1);
    }
    await writeFile(join(home, 'postgres/data/PG_VERSION'), '9\n');
    await expect(startEmbeddedPostgres({ home }, LOG, SIGNAL)).rejects.toMatchObject({
      code: 'database.programs-missing',
      message: expect.stringContaining('postgresql-9') as string,
    });
  });

  it('is stopped while it starts when the signal fires', async () => {
    const stop = new AbortController();
    const starting = startEmbeddedPostgres({ home }, LOG, stop.signal);
    stop.abort();
    await expect(starting).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('leaves no server that was not ready yet when the signal fired', async () => {
    {
      await using postgres = await startEmbeddedPostgres({ home }, LOG, SIGNAL);
      expect(postgres.pid).toBeGreaterThan(1);
    }
    const cluster = await prepareFolders(home);
    const source = { source: 'any', storeFolder: cluster.folder } as const;
    const clusterMajor = await majorOfCluster(cluster);
    const programs = await findPostgres({ ...source, clusterMajor }, cluster.owner, SIGNAL);
    const stop = new AbortController();
    const starting = PostgresProcess.start(cluster, programs, stop.signal);
    stop.abort();

    await expect(starting).rejects.toMatchObject({ name: 'AbortError' });

    expect(await runningIn(home)).toBe('');
  });

  it('runs from the npm package', async () => {
    await using postgres = await startEmbeddedPostgres({ home, source: 'package' }, LOG, SIGNAL);
    expect(postgres.major).toBe(18);
    expect(await query(postgres, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  });

  it('uses a socket elsewhere when the home folder is too long for one', async () => {
    await chmod(home, 0o711);
    const deep = join(home, 'd'.repeat(100));
    await using postgres = await startEmbeddedPostgres({ home: deep }, LOG, SIGNAL);
    expect(postgres.connection.host).not.toContain('ddd');
    await rm(postgres.connection.host, { recursive: true });
  });

  const asRoot = process.getuid?.() === 0 ? it : it.skip;
  asRoot('refuses a home below a folder that its user cannot enter', async () => {
    const closed = join(home, 'closed');
    await mkdir(closed, { mode: 0o700 });
    const failing = startEmbeddedPostgres({ home: join(closed, 'home') }, LOG, SIGNAL);
    await expect(
      failing.catch((error: unknown) => isFault(error, 'database.folder-closed')),
    ).resolves.toBe(true);
  });
});

describe('databases for tests', () => {
  it('do not see each other on one server', async () => {
    const one = await createDatabase();
    const two = await createDatabase();
    try {
      await one.run('CREATE TABLE only_here (n int)');
      await one.run('SELECT * FROM only_here');
      await expect(two.run('SELECT * FROM only_here')).rejects.toMatchObject({ code: '42P01' });
      expect(new URL(one.url).searchParams.get('host')).toBe(
        new URL(two.url).searchParams.get('host'),
      );
    } finally {
      await one.drop();
      await two.drop();
    }
  });
});
