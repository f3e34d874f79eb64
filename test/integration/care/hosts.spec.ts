import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild } from '../../../scripts/setup/build.mjs';
import type { CareRun } from '../../../src/api/contract/policy/care.ts';
import { Schedule } from '../../../src/policies/document/schedule.ts';
import { createDatabase, type TestDatabase } from '../../support/service/database.ts';
import { addRawVm } from '../../support/service/raw-vm.ts';
import { RealService } from '../../support/service/real-service.ts';

const MIB = 1024 * 1024;
const TIMEOUT_MS = 180_000;
const PASSPHRASE = 'a b c d e f g h';
const WEEK_MS = 7 * 86_400_000;
const { signal } = new AbortController();

describe('The care of a vault by two services on one database', () => {
  let folder: string;
  let database: TestDatabase;
  let a: RealService;
  let b: RealService;

  beforeAll(async () => {
    await ensureBuild(join(import.meta.dirname, '../../..'));
    folder = await mkdtemp(join(tmpdir(), 'hk-care-hosts-'));
    await chmod(folder, 0o711);
    await mkdir(join(folder, 'vault'));
    database = await createDatabase();
    [a, b] = await Promise.all([start('a'), start('b')]);
    const vault = { name: 'main', location: join(folder, 'vault'), passphrase: PASSPHRASE };
    await a.client.call('createVault', { body: vault }, signal);
    await b.client.call('createVault', { body: { ...vault, existing: true } }, signal);
    await addRawVm(a.client, { folder, name: 'web', bytes: 4 * MIB }, signal);
    const job = await a.client.call('startBackup', { body: { vm: 'web' } }, signal);
    await a.ended(job, signal);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await Promise.all([a.stop(), b.stop()]);
    await database.drop();
    await rm(folder, { recursive: true });
  });

  const start = async (name: string): Promise<RealService> =>
    RealService.start(join(folder, name), signal, { DATABASE_URL: database.url });

  async function runs(): Promise<readonly CareRun[]> {
    return (await a.client.call('listCareRuns', {}, signal)).runs;
  }

  /** Looks whenever a service says that something began or ended. */
  async function until(isTrue: (runs: readonly CareRun[]) => boolean): Promise<readonly CareRun[]> {
    for (;;) {
      const sinceMs = performance.now();
      const all = await runs();
      if (isTrue(all)) {
        return all;
      }
      const over = new AbortController();
      const news = [a, b].flatMap((each) =>
        ['care.changed', 'job.started'].map(async (event) =>
          each.logs(event, sinceMs, over.signal).catch(() => undefined),
        ),
      );
      await Promise.race(news);
      over.abort();
    }
  }

  /** As if both had been away for a week. Without the spread of the defaults. */
  async function awayForAWeek(vaultId: string): Promise<void> {
    const schedules = { scrub: { every: '1d' }, prune: { every: '7d' } };
    for (const [task, schedule] of Object.entries(schedules)) {
      const stored = JSON.stringify(Schedule.parse(schedule));
      await database.run(
        `INSERT INTO care_task (vault_id, task, schedule, horizon_ms)
           VALUES ('${vaultId}', '${task}', '${stored}', ${String(Date.now() - WEEK_MS)})
         ON CONFLICT (vault_id, task) DO UPDATE
           SET schedule = excluded.schedule, horizon_ms = excluded.horizon_ms`,
      );
    }
  }

  it(
    'is done once by one of them, and what was missed is done once',
    async () => {
      const text =
        'care: [{ vault: main, scrub: { schedule: { every: 1d } }, prune: { schedule: { every: 7d } } }]';
      await a.client.call('applyPolicies', { body: { text } }, signal);
      const [vault] = (await a.client.call('listVaults', {}, signal)).vaults;
      await awayForAWeek(vault?.id ?? '');
      const all = await until((each) => each.filter(({ state }) => state === 'done').length === 2);

      const begun = all.filter(({ state }) => state !== 'skipped');
      expect(begun.map(({ task, attempt }) => [task, attempt]).sort()).toEqual([
        ['prune', 1],
        ['scrub', 1],
      ]);
      expect(all.filter(({ why }) => why === 'missed').map(({ task }) => task)).toEqual(
        Array.from({ length: 6 }, () => 'scrub'),
      );
      const { jobs } = await b.client.call('listJobs', {}, signal);
      const kinds = jobs.map(({ kind }) => kind).filter((kind) => /prune|scrub/.test(kind));
      expect(kinds.sort()).toEqual(['prune', 'scrub']);
    },
    TIMEOUT_MS,
  );

  it(
    'goes on with a copy whose service was killed, after the start and elsewhere',
    async () => {
      const place = join(folder, 'copy');
      const slow = `care: [{ vault: main, copies: [{ name: off, location: "${place}", rate: 16KiB/s }] }]`;
      await a.client.call('applyPolicies', { body: { text: slow } }, signal);
      const { run } = await a.client.call(
        'runCare',
        { path: { vault: 'main' }, body: { task: 'copy off' } },
        signal,
      );
      const [running] = await until((all) => all[0]?.jobId !== undefined);
      await hasBegun(running?.jobId ?? '');
      expect(running?.id).toBe(run.id);
      const name = running?.host ?? '';
      const isA = (await hostName('a')) === name;
      await (isA ? a : b).kill();
      const quick = slow.replace(', rate: 16KiB/s', '');
      await (isA ? b : a).client.call('applyPolicies', { body: { text: quick } }, signal);
      const again = await start(isA ? 'a' : 'b');
      [a, b] = isA ? [again, b] : [a, again];

      const [done] = await until((all) => all[0]?.state === 'done');
      expect(done).toMatchObject({ id: run.id, attempt: 2 });
      const { tasks } = await b.client.call('listCare', {}, signal);
      expect(tasks.find(({ task }) => task === 'copy off')?.copy).toMatchObject({ points: 0 });
    },
    TIMEOUT_MS,
  );

  /** Resolves once a job has sent something. */
  async function hasBegun(jobId: string): Promise<void> {
    for await (const { progress } of a.client.jobEvents(jobId, signal)) {
      if ((progress?.doneBytes ?? 0) > 0) {
        return;
      }
    }
  }

  async function hostName(home: string): Promise<string> {
    const id = (await readFile(join(folder, home, 'host-id'), 'utf8')).trim();
    const { hosts } = await a.client.call('listHosts', {}, signal);
    return hosts.find((host) => host.id === id)?.name ?? '';
  }
});
