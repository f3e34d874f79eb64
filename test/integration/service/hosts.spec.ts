import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild } from '../../../scripts/setup/build.mjs';
import { addRawVm } from '../../support/service/raw-vm.ts';
import { createDatabase, type TestDatabase } from '../../support/service/database.ts';
import { RealService } from '../../support/service/real-service.ts';

const MIB = 1024 * 1024;
const TIMEOUT_MS = 120_000;
const PASSPHRASE = 'a b c d e f g h';
const POLICY = 'name: hourly\nselector: { all: true }\nvault: main\nschedule: { every: 1h }\n';
const { signal } = new AbortController();
const VERIFIED = `
  SELECT "state", (SELECT count(*) FROM "job" WHERE "kind" = 'prove'
                     AND "parameters" ->> 'pointId' = "point_id") AS "jobs"
    FROM "verification_run"`;

interface Run {
  readonly id: string;
  readonly vm_name: string;
  readonly host_id: string;
  readonly state: string;
  readonly point_id: string | null;
  readonly fault: { readonly code: string; readonly message: string } | null;
}

describe('Two services on one database', () => {
  let folder: string;
  let database: TestDatabase;
  let a: RealService;
  let b: RealService;
  const seen = new Set<string>();

  beforeAll(async () => {
    await ensureBuild(join(import.meta.dirname, '../../..'));
    folder = await mkdtemp(join(tmpdir(), 'hk-hosts-'));
    await chmod(folder, 0o711);
    await mkdir(join(folder, 'vault'));
    database = await createDatabase();
    [a, b] = await Promise.all([start('a'), start('b')]);
    await a.client.call('createVault', { body: vaultBody() }, signal);
    await addVm(a, 'web');
    await addVm(b, 'db');
    await a.client.call('applyPolicies', { body: { text: POLICY } }, signal);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await Promise.all([a.stop(), b.stop()]);
    await database.drop();
    await rm(folder, { recursive: true });
  });

  const start = async (name: string): Promise<RealService> =>
    RealService.start(join(folder, name), signal, {
      DATABASE_URL: database.url,
      VERIFY_NEW_POINTS: 'on',
    });

  const vaultBody = (existing = false) => ({
    ...{ name: 'main', location: join(folder, 'vault'), passphrase: PASSPHRASE, existing },
  });

  const hostId = async (home: string): Promise<string> =>
    (await readFile(join(folder, home, 'host-id'), 'utf8')).trim();

  async function addVm({ client }: RealService, name: string): Promise<void> {
    await addRawVm(client, { folder, name, bytes: MIB }, signal);
    await client.call('listVms', {}, signal);
  }

  /** Runs that have ended and that no earlier call returned, as soon as there are so many. */
  async function ended(amount: number, services = [a, b]): Promise<Run[]> {
    for (;;) {
      const sinceMs = performance.now();
      const rows = (await database.run(
        `SELECT * FROM run WHERE state IN ('sealed', 'failed') ORDER BY vm_name`,
      )) as Run[];
      const runs = rows.filter(({ id }) => !seen.has(id));
      if (runs.length >= amount) {
        for (const { id } of runs) {
          seen.add(id);
        }
        return runs;
      }
      await Promise.race(services.map((each) => each.logs('run.changed', sinceMs, signal)));
    }
  }

  const runPolicy = async ({ client }: RealService) =>
    client.call('runPolicy', { path: { policy: 'hourly' }, body: {} }, signal);

  it(
    'have one vault in common, and each its own key of it',
    async () => {
      const [vault] = (await b.client.call('listVaults', {}, signal)).vaults;
      expect(vault?.problem).toMatch(/no key of the vault main.*vault add main --location/);
      const givenUpFrom = async ({ client }: RealService) =>
        (await client.call('protection', {}, signal)).givenUpFromHere;
      expect([await givenUpFrom(a), await givenUpFrom(b)]).toEqual([['main'], []]);
      await runPolicy(a);
      const prune = { path: { vault: 'main' }, body: { dryRun: true, limits: {} } };
      const pruned = await b.ended(await b.client.call('pruneVault', prune, signal), signal);
      expect(pruned).toMatchObject({ state: 'succeeded' });
      const jobOf = async ({ client }: RealService) =>
        client.call('getJob', { path: { job: pruned.id } }, signal);
      const name = (await a.client.call('listHosts', {}, signal)).hosts.find(
        ({ isThis }) => isThis,
      )?.name;
      expect([(await jobOf(a)).host, (await jobOf(b)).host]).toEqual([name, name]);
      const { jobs } = await b.client.call('listJobs', { query: {} }, signal);
      expect(jobs.find(({ id }) => id === pruned.id)?.host).toBe(name);
      expect(await ended(2)).toMatchObject([
        { vm_name: 'db', state: 'failed', fault: { code: 'vault.key-missing' } },
        { vm_name: 'web', state: 'sealed' },
      ]);

      await b.client.call('createVault', { body: vaultBody(true) }, signal);

      const { vaults } = await b.client.call('listVaults', {}, signal);
      expect(vaults.map(({ name, problem }) => [name, problem])).toEqual([['main', undefined]]);
      expect(await givenUpFrom(b)).toEqual(['main']);
      await expect(
        b.client.call('createVault', { body: vaultBody(true) }, signal),
      ).rejects.toMatchObject({ code: 'vault.name-taken' });
    },
    TIMEOUT_MS,
  );

  it(
    'see all VMs, and each takes the points of its own',
    async () => {
      // As if both had been away for a fire time.
      await database.run('UPDATE policy SET horizon_ms = horizon_ms - 3600000');
      const runs = await ended(2);

      const ids = { db: await hostId('b'), web: await hostId('a') };
      expect(runs.map((run) => [run.vm_name, run.host_id, run.state])).toEqual([
        ['db', ids.db, 'sealed'],
        ['web', ids.web, 'sealed'],
      ]);
      for (const { client } of [a, b]) {
        const { vms } = await client.call('listVms', {}, signal);
        expect(vms.map(({ name, host }) => [name, host?.id])).toEqual(Object.entries(ids));
      }
      const { points } = await a.client.call('listPoints', {}, signal);
      expect(points.find(({ vmName }) => vmName === 'db')?.origin?.service).toBe(ids.db);
      const job = await a.client.call('startBackup', { body: { vm: 'db' } }, signal);
      expect(await a.ended(job, signal)).toMatchObject({ state: 'succeeded', vmName: 'db' });
      await expect(a.client.call('startVm', { path: { vm: 'db' } }, signal)).rejects.toMatchObject({
        code: 'vm.on-other-host',
      });
    },
    TIMEOUT_MS,
  );

  it(
    'verify each new point once, whoever of them comes first',
    async () => {
      const settled = async () => {
        for (;;) {
          const sinceMs = performance.now();
          const rows = (await database.run(VERIFIED)) as { state: string; jobs: string }[];
          if (
            rows.length > 0 &&
            rows.every(({ state }) => state !== 'due' && state !== 'running')
          ) {
            return rows;
          }
          await Promise.race(
            [a, b].map((each) => each.logs('verification.changed', sinceMs, signal)),
          );
        }
      };

      const rows = await settled();

      const points = await database.run('SELECT id FROM recovery_point');
      expect(rows.map(({ state, jobs }) => [state, jobs])).toEqual(
        points.map(() => ['whole', '1']),
      );
    },
    TIMEOUT_MS,
  );

  it(
    'go on alone: the runs of a host that is gone wait, and it takes them when it is back',
    async () => {
      await b.kill();
      await database.run(`UPDATE host SET last_seen_ms = 1 WHERE id = '${await hostId('b')}'`);
      await runPolicy(a);

      expect(await ended(1, [a])).toMatchObject([{ vm_name: 'web', state: 'sealed' }]);
      const { vms } = await a.client.call('protection', {}, signal);
      expect(vms.map(({ vmName, state, host }) => [vmName, state, host.isLate])).toEqual([
        ['db', 'late', true],
        ['web', 'ok', false],
      ]);
      await expect(
        a.client.call('startBackup', { body: { vm: 'db' } }, signal),
      ).rejects.toMatchObject({ code: 'vm.on-other-host' });
      b = await start('b');
      expect(await ended(1)).toMatchObject([{ vm_name: 'db', state: 'sealed' }]);
      const status = await a.client.call('protection', {}, signal);
      expect(status.ok).toBe(true);
    },
    TIMEOUT_MS,
  );

  it(
    'take a VM over with its run when its host is gone',
    async () => {
      const db = (await b.client.call('listVms', {}, signal)).vms.find(({ name }) => name === 'db');
      await b.kill();
      await runPolicy(a);
      await database.run(`UPDATE host SET last_seen_ms = 1 WHERE id = '${await hostId('b')}'`);

      const disks = [{ name: 'system', path: join(folder, 'db.raw'), format: 'raw' as const }];
      const moved = { id: db?.id, name: 'db', cpus: 1, memoryMib: 64, disks };
      await a.client.call('addVm', { body: moved }, signal);
      await a.client.call('listVms', {}, signal);

      expect(await ended(2, [a])).toMatchObject([
        { vm_name: 'db', host_id: await hostId('a'), state: 'sealed' },
        { vm_name: 'web', state: 'sealed' },
      ]);
      b = await start('b');
      const { vms } = await b.client.call('listVms', {}, signal);
      expect(vms.map(({ name, host }) => [name, host?.id])).toEqual([
        ['db', await hostId('a')],
        ['web', await hostId('a')],
      ]);
    },
    TIMEOUT_MS,
  );
});
