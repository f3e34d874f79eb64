import { randomUUID } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCatalog } from '../../../src/catalog/database/catalog-source.ts';
import { createDatabase, type TestDatabase } from '../../support/service/database.ts';
import { proxyToDatabase, type DatabaseProxy } from '../../support/service/database-proxy.ts';
import { WholeService } from '../../support/service/whole-service.ts';

const runningJob = (hostId: string): string =>
  `INSERT INTO job (id, kind, state, subject, parameters, created_at_ms, claimed_by)
  VALUES ('${randomUUID()}', 'backup', 'running', '{}', '{}', 1, '${hostId}')`;

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

/** A whole service with the database at `url`, in a home of its own. */
class Service extends WholeService {
  static async begin(
    url: string,
    how: { readonly copyOf?: Service; readonly waitsForOlder?: boolean } = {},
  ): Promise<Service> {
    const home = await mkdtemp(join(tmpdir(), 'hk-database-'));
    homes.push(home);
    if (how.copyOf !== undefined) {
      await copyFile(join(how.copyOf.home, 'host-id'), join(home, 'host-id'));
    }
    const settings = { HYPERKEEP_HOME: home, HTTP_PORT: '0', DATABASE_URL: url };
    return new Service(settings, { waitsForOlder: how.waitsForOlder === true });
  }

  async read(file: string): Promise<string> {
    return readFile(join(this.home, file), 'utf8');
  }

  async get(path: string): Promise<Response> {
    const authorization = `Bearer ${(await this.read('api-token')).trim()}`;
    const [{ http = '' } = {}] = this.events('service.started');
    return fetch(`${http}/api/v1${path}`, { headers: { authorization } });
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

it('shares the database with the services of other hosts, and touches none of their jobs', async () => {
  const first = await Service.begin(way.url);
  await first.started();
  await database.run(runningJob((await first.read('host-id')).trim()));

  const second = await Service.begin(database.url);
  await second.started();

  expect(await database.run('SELECT state FROM job')).toEqual([{ state: 'running' }]);
  expect(await database.run('SELECT count(*)::int AS hosts FROM host')).toEqual([{ hosts: 2 }]);
  await second.stop();
  expect((await first.get('/jobs')).status).toBe(200);
  await first.stop();
});

it('lets several services make the tables at once', async () => {
  const services = await Promise.all([1, 2, 3].map(async () => Service.begin(database.url)));
  await Promise.all(services.map(async (service) => service.started()));
  await Promise.all(services.map(async (service) => service.stop()));
});

it('refuses a copy of a home whose service uses the database', async () => {
  const first = await Service.begin(way.url);
  await first.started();

  const second = await Service.begin(database.url, { copyOf: first });

  await expect(second.ended).rejects.toMatchObject({
    code: 'database.in-use',
    message: expect.stringContaining(first.home) as string,
  });
  await first.stop();
});

it('takes over from one that died, which stops when it comes back and finds the database taken', async () => {
  const first = await Service.begin(way.url);
  await first.started();
  await way.proxy.cut();

  const second = await Service.begin(database.url, { copyOf: first });
  await second.started();
  await way.proxy.mend();

  await expect(first.ended).rejects.toMatchObject({ code: 'database.in-use' });
  expect((await second.get('/jobs')).status).toBe(200);
  await second.stop();
});

describe('the tables of another version', () => {
  const makeNewer = async (): Promise<unknown> =>
    database.run(`INSERT INTO migration (timestamp, name) VALUES (1, 'OfTomorrow')`);

  async function makeOlder(): Promise<void> {
    const source = await openCatalog(database);
    await source.undoLastMigration();
    await source.destroy();
  }

  it('are refused if they are newer', async () => {
    await (await openCatalog(database)).destroy();
    await makeNewer();

    await expect((await Service.begin(database.url)).ended).rejects.toMatchObject({
      code: 'database.newer',
    });
  });

  it('end a service that finds them newer when the database is back', async () => {
    const service = await Service.begin(way.url);
    await service.started();
    await way.proxy.cut();
    await service.until(() => service.events('database.lost').length > 0);
    await makeNewer();
    await way.proxy.mend();

    await expect(service.ended).rejects.toMatchObject({ code: 'database.newer' });
  });

  it('are not changed while services of older versions use them', async () => {
    const older = await Service.begin(database.url);
    await older.started();
    await makeOlder();

    const newer = await Service.begin(database.url);
    await expect(newer.ended).rejects.toMatchObject({
      code: 'database.older-hosts',
      message: expect.stringContaining(older.home) as string,
    });
    const waiting = await Service.begin(database.url, { waitsForOlder: true });
    await waiting.until(() => waiting.said.length > 0);
    expect(waiting.said[0]).toMatch(/used by services of an older version: .*Waiting/);
    await older.stop();

    await waiting.started();
    await waiting.stop();
  });
});
