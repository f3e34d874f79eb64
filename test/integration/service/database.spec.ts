import { EventEmitter, once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '../../../src/main.ts';
import { readConfig } from '../../../src/platform/config/config.ts';
import { createDatabase, type TestDatabase } from '../../support/service/database.ts';
import { proxyToDatabase, type DatabaseProxy } from '../../support/service/database-proxy.ts';

const RUNNING_JOB = `INSERT INTO job (id, kind, state, subject, parameters, created_at_ms)
  VALUES ('11111111-1111-4111-8111-111111111111', 'backup', 'running', '{}', '{}', 1)`;

let database: TestDatabase;
let way: DatabaseProxy;
let homes: string[];

beforeEach(async () => {
  database = await createDatabase();
  way = await proxyToDatabase(database.url);
  homes = [];
});
afterEach(async () => {
  await way.proxy.cut();
  await database.drop();
  for (const home of homes) {
    await rm(home, { recursive: true });
  }
});

interface LogLine {
  readonly event: string;
  readonly level: string;
  readonly http?: string;
}

/** A whole service with the database at `url`; what it says can be waited for. */
class Service {
  readonly log: LogLine[] = [];
  readonly said: string[] = [];
  readonly abort = new AbortController();
  readonly ended: Promise<void>;
  private readonly heard = new EventEmitter();

  private constructor(
    readonly home: string,
    url: string,
  ) {
    const config = readConfig(
      { HYPERKEEP_HOME: home, HTTP_PORT: '0', DATABASE_URL: url },
      { userId: 1000, homeFolder: home },
    );
    const output = {
      write: (text: string) => {
        this.said.push(text);
        this.heard.emit('heard');
      },
    };
    const errors = {
      write: (line: string) => {
        this.log.push(JSON.parse(line) as LogLine);
        this.heard.emit('heard');
      },
    };
    this.ended = serve({ config, version: '1.2.3', output, errors }, this.abort.signal);
    this.ended.catch(() => this.heard.emit('heard'));
  }

  static async begin(url: string): Promise<Service> {
    const home = await mkdtemp(join(tmpdir(), 'hk-database-'));
    homes.push(home);
    return new Service(home, url);
  }

  events(name: string): LogLine[] {
    return this.log.filter(({ event }) => event === name);
  }

  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await Promise.race([once(this.heard, 'heard'), this.ended]);
    }
  }

  async started(): Promise<void> {
    await this.until(() => this.events('service.started').length > 0);
  }

  async get(path: string): Promise<Response> {
    const read = async (name: string) => (await readFile(join(this.home, name), 'utf8')).trim();
    const authorization = `Bearer ${await read('api-token')}`;
    const [{ http = '' } = {}] = this.events('service.started');
    return fetch(`${http}/api/v1${path}`, { headers: { authorization } });
  }

  async stop(): Promise<void> {
    this.abort.abort();
    await this.ended;
  }
}

it('waits for a database that is away, says so, and goes on when it is there', async () => {
  await way.proxy.cut();
  const service = await Service.begin(way.url);
  await service.until(() => service.said.length > 0);
  expect(service.said[0]).toMatch(/does not answer now \(ECONNREFUSED\).*Waiting for it/);
  expect(service.events('database.away')).toHaveLength(1);

  await way.proxy.mend();
  await service.started();

  expect(service.events('database.back')).toHaveLength(1);
  expect((await service.get('/vaults')).status).toBe(200);
  await service.stop();
  expect(JSON.stringify([service.log, service.said])).not.toContain(new URL(way.url).password);
});

it('stops at once while it waits', async () => {
  await way.proxy.cut();
  const service = await Service.begin(way.url);
  await service.until(() => service.events('database.away').length > 0);

  service.abort.abort();

  await expect(service.ended).rejects.toMatchObject({ name: 'AbortError' });
});

it('does not wait for a database that will not let it in', async () => {
  const nowhere = new URL(way.url);
  nowhere.pathname = '/no_such_database';
  await expect((await Service.begin(nowhere.href)).ended).rejects.toMatchObject({
    code: 'database.refused',
  });
});

it('answers 503 while the database is away, and goes on by itself', async () => {
  const service = await Service.begin(way.url);
  await service.started();
  await way.proxy.cut();
  await service.until(() => service.events('database.lost').length > 0);

  for (const path of ['/vaults', '/points', '/jobs']) {
    const answer = await service.get(path);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await answer.json()).toMatchObject({ title: 'database.unavailable' });
  }
  expect((await service.get('/service')).status).toBe(200);

  await way.proxy.mend();
  await service.until(() => service.events('database.claimed-again').length > 0);
  expect((await service.get('/jobs')).status).toBe(200);
  await service.stop();
  expect(service.log.filter(({ level }) => level === 'error')).toEqual([]);
});

it('refuses a database that another service uses, and touches none of its jobs', async () => {
  const first = await Service.begin(way.url);
  await first.started();
  await database.run(RUNNING_JOB);

  const second = await Service.begin(database.url);

  await expect(second.ended).rejects.toMatchObject({
    code: 'database.in-use',
    message: expect.stringContaining(first.home) as string,
  });
  expect(await database.run('SELECT state FROM job')).toEqual([{ state: 'running' }]);
  await first.stop();
});

it('takes over from one that died, which stops when it comes back and finds the database taken', async () => {
  const first = await Service.begin(way.url);
  await first.started();
  await way.proxy.cut();

  const second = await Service.begin(database.url);
  await second.started();
  await way.proxy.mend();

  await expect(first.ended).rejects.toMatchObject({ code: 'database.in-use' });
  expect((await second.get('/jobs')).status).toBe(200);
  await second.stop();
});
