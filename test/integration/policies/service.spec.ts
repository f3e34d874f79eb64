import { once } from 'node:events';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JobList } from '../../../src/api/contract/jobs.ts';
import { ProtectionStatus } from '../../../src/api/contract/policies.ts';
import { PointList } from '../../../src/api/contract/points.ts';
import { Vm } from '../../../src/api/contract/vms.ts';
import type { StoredRun } from '../../../src/catalog/run-rows.ts';
import type { FreezeOptions, FrozenVm } from '../../../src/engines/engine.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { HandClock } from '../../support/schedule/hand-clock.ts';
import { TestService } from '../../support/service/service.ts';

const POLICY = `
name: hourly
selector: { vms: ['web*'] }
vault: main
schedule: { cron: '@hourly' }
`;

/** Its next freeze waits until it is given up. */
class StickingEngine extends FakeEngine {
  private readonly frozenVms = new EventTarget();
  sticks = false;

  async stuck(): Promise<unknown> {
    return once(this.frozenVms, 'stuck');
  }

  override async freeze(vm: string, options: FreezeOptions, stop: AbortSignal): Promise<FrozenVm> {
    const frozen = await super.freeze(vm, options, stop);
    if (this.sticks) {
      this.sticks = false;
      const stopped = once(stop, 'abort');
      this.frozenVms.dispatchEvent(new Event('stuck'));
      await stopped;
      await frozen[Symbol.asyncDispose]();
      stop.throwIfAborted();
    }
    return frozen;
  }
}

describe('a service with a policy', () => {
  let folder: string;
  let engine: StickingEngine;
  let clock: HandClock;
  let service: TestService;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hk-policy-'));
    engine = new StickingEngine();
    clock = new HandClock('2026-05-04T09:30Z');
    service = await TestService.start(engine, {}, clock);
    const vault = { name: 'main', location: join(folder, 'main'), passphrase: 'a b c d e f g h' };
    expect(await service.post('/vaults', vault)).toMatchObject({ status: 201 });
  });
  afterEach(async () => {
    await service.remove();
    await rm(folder, { recursive: true });
  });

  async function addVm(name: string): Promise<Vm> {
    const path = join(folder, `${name}.raw`);
    await writeFile(path, '');
    await truncate(path, 4 * MiB);
    const disks = [{ name: 'system', path, format: 'raw' }];
    const vm = Vm.parse((await service.post('/vms', { name, disks })).body);
    engine.write(vm.id, 'system', 0, seededBytes(name, MiB));
    return vm;
  }

  /** Applies the policy, whose fire times begin at the time of its clock. */
  async function applyPolicy(more = ''): Promise<void> {
    const text = `${POLICY}${more}`;
    expect(await service.post('/policy-text', { text })).toMatchObject({ status: 200 });
    await service.sql(`UPDATE "policy" SET "horizon_ms" = ${String(clock.nowMs())}`);
  }

  async function runs(): Promise<StoredRun[]> {
    return (await service.rows('run')) as StoredRun[];
  }

  /** Sets the clock and ticks until every run has ended. */
  async function at(time: string): Promise<void> {
    clock.set(time);
    for (;;) {
      await service.tick();
      const { jobs } = JobList.parse((await service.get('/jobs?limit=100')).body);
      const open = jobs.filter(({ state }) => state === 'queued' || state === 'running');
      if (open.length === 0 && (await runs()).every(({ state }) => state === 'sealed')) {
        return;
      }
      await Promise.all(open.map(({ id }) => service.ended(id)));
    }
  }

  async function points(): Promise<PointList['points']> {
    return PointList.parse((await service.get('/points')).body).points;
  }

  it('takes points by itself, also of VMs that came later', async () => {
    await addVm('web1');
    await addVm('db');
    await applyPolicy();

    await at('2026-05-04T09:59Z');
    expect(await points()).toEqual([]);
    await at('2026-05-04T10:00Z');
    expect((await points()).map(({ vmName }) => vmName)).toEqual(['web1']);
    await addVm('web2');
    await at('2026-05-04T11:00Z');

    const taken = await points();
    expect(taken.map(({ vmName }) => vmName).sort()).toEqual(['web1', 'web1', 'web2']);
    const rows = (await service.rows('run')) as { id: string; point_id: string }[];
    expect(taken.map(({ id, origin }) => [id, origin]).sort()).toEqual(
      rows
        .map(({ id, point_id }) => [
          point_id,
          expect.objectContaining({ kind: 'policy', policy: 'hourly', run: id }) as unknown,
        ])
        .sort(),
    );
  });

  it('makes runs when somebody asks, also of a paused policy, and one of a VM', async () => {
    const { id: vmId } = await addVm('web1');
    await applyPolicy();
    await service.post('/policies/hourly/pause', {});
    engine.sticks = true;
    const stuck = engine.stuck();

    const first = await service.post('/policies/hourly/run', {});
    await stuck;
    const second = await service.post('/policies/hourly/run', {});
    await service.restart();
    await at('2026-05-04T09:31Z');

    const asked = {
      vmId,
      policy: 'hourly',
      actor: 'api-token',
      fireAtMs: Date.parse('2026-05-04T09:30Z'),
    };
    expect(first).toMatchObject({ status: 202, body: { runs: [asked], open: [] } });
    expect(second).toMatchObject({ status: 202, body: { runs: [], open: [asked] } });
    const [run] = await runs();
    expect(await runs()).toMatchObject([{ state: 'sealed', attempt: 2, actor: 'api-token' }]);
    expect((await points()).map(({ origin }) => origin)).toMatchObject([
      { kind: 'policy', run: run?.id, attempt: 2, actor: 'api-token' },
    ]);
    expect(await service.get(`/runs?id=${run?.id ?? ''}`)).toMatchObject({
      body: { runs: [{ ...asked, state: 'sealed' }] },
    });
  });

  it('gives a backup that somebody asks for the limits of its policy', async () => {
    await addVm('web1');
    await applyPolicy('limits: { rate: 2MiB/s, guestLatency: 50ms, underEmulation: true }\n');

    await service.post('/policies/hourly/run', {});
    await at('2026-05-04T09:31Z');

    const [job] = (await service.rows('job')) as { parameters: unknown }[];
    expect(job?.parameters).toMatchObject({
      rateLimits: { windows: [{ bytesPerSecond: 2 * MiB }] },
      guestLatency: { p99MsMax: 50, underEmulation: true },
    });
  });

  it('goes on after a stop in the middle of a backup', async () => {
    await addVm('web1');
    await applyPolicy();
    engine.sticks = true;
    const stuck = engine.stuck();
    clock.set('2026-05-04T10:00Z');
    await service.tick();
    await stuck;

    await service.restart();
    await at('2026-05-04T10:01Z');

    expect(await runs()).toMatchObject([{ state: 'sealed', attempt: 2 }]);
    const [taken] = await points();
    expect(await service.get('/runs?policy=hourly&vm=web1')).toMatchObject({
      status: 200,
      body: { runs: [{ state: 'sealed', vmName: 'web1', attempt: 2, pointId: taken?.id }] },
    });
    expect(await service.get('/runs?vm=web2')).toMatchObject({ body: { runs: [] } });
    expect(await points()).toHaveLength(1);
    expect(engine.frozen).toBe(0);
  });

  /** As if the database had been restored from a dump of 09:30, before any run. */
  async function restoreDump(): Promise<void> {
    const dumped = String(Date.parse('2026-05-04T09:30Z'));
    await service.sql(`
      DELETE FROM "run";
      DELETE FROM "job";
      DELETE FROM "recovery_point";
      UPDATE "policy" SET "horizon_ms" = ${dumped};
      UPDATE "schedule_state" SET "known_from_ms" = ${dumped}`);
    await service.restart();
  }

  async function unknownRuns(): Promise<ProtectionStatus['unknownRuns']> {
    return ProtectionStatus.parse((await service.get('/protection')).body).unknownRuns;
  }

  /** Ticks at this time until `isSo`. */
  async function tickUntil(time: string, isSo: () => Promise<boolean>): Promise<void> {
    clock.set(time);
    do {
      await service.tick();
    } while (!(await isSo()));
  }

  it('fires nothing with a database from an older dump until somebody accepts it', async () => {
    await addVm('web1');
    await applyPolicy();
    await at('2026-05-04T10:00Z');

    await restoreDump();
    await tickUntil('2026-05-04T11:00Z', async () => (await unknownRuns()) !== undefined);
    await service.restart();
    clock.set('2026-05-04T12:00Z');
    await service.tick();

    expect(await points()).toHaveLength(1);
    expect(await unknownRuns()).toMatchObject({ points: 1 });
    expect((await runs()).map(({ state }) => state).sort()).toEqual(['due', 'skipped']);
    expect(await service.post('/catalog/accept')).toMatchObject({
      status: 200,
      body: { points: 1, policies: 1, skippedRuns: 1 },
    });
    expect(await unknownRuns()).toBeUndefined();
    expect(await service.post('/catalog/accept')).toMatchObject({ body: { points: 0 } });
    // Acceptance counts from the real time, which this clock is behind.
    await service.sql(`UPDATE "policy" SET "horizon_ms" = ${String(clock.nowMs())}`);
    await tickUntil('2026-05-04T13:00Z', async () => (await points()).length === 2);
  });

  it('credits a point to its run that was given up before anybody knew of the point', async () => {
    await addVm('web1');
    await applyPolicy();
    await at('2026-05-04T10:00Z');
    const [sealed] = await runs();
    expect(sealed).toMatchObject({ state: 'sealed', attempt: 1 });

    // As if the service had been killed between the seal and its row, until the next run was due.
    await service.sql(`
      UPDATE "run" SET "state" = 'running', "point_id" = NULL;
      UPDATE "job" SET "state" = 'interrupted';
      DELETE FROM "recovery_point";
      DELETE FROM "policy"`);
    await service.restart();
    await service.tick();
    expect(await runs()).toMatchObject([{ state: 'failed', why: 'the next run is due' }]);
    await tickUntil('2026-05-04T10:30Z', async () => (await runs())[0]?.state === 'sealed');

    expect(await runs()).toEqual([sealed]);
  });

  it('takes nothing else for a database from an older dump', async () => {
    const { id } = await addVm('web1');
    await applyPolicy();
    await at('2026-05-04T10:00Z');
    const begun = String(Date.parse('2026-05-04T09:30Z'));
    await service.sql(`UPDATE "schedule_state" SET "known_from_ms" = ${begun}`);

    // The policy was removed and made again; somebody took a point by hand.
    await service.sql('DELETE FROM "policy"');
    await applyPolicy();
    await service.run('/backups', { vm: id });
    expect(await unknownRuns()).toBeUndefined();
    // Another service wrote into the vault.
    await service.sql(`UPDATE "run" SET "id" = gen_random_uuid()`);
    expect(await unknownRuns()).toMatchObject({ points: 1 });
    await service.sql(`UPDATE "recovery_point" SET "origin_service" = gen_random_uuid()::text`);
    expect(await unknownRuns()).toBeUndefined();
    // A new database with a vault from before.
    await service.loseDatabase();
    const place = { name: 'main', location: join(folder, 'main'), existing: true };
    await service.post('/vaults', { ...place, passphrase: 'a b c d e f g h' });
    expect(await points()).toHaveLength(2);
    expect(await unknownRuns()).toBeUndefined();
  });
});
