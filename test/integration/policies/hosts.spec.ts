import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { InventoryRows } from '../../../src/catalog/inventory-rows.ts';
import type { StoredRun } from '../../../src/catalog/run-rows.ts';
import { brief, labVm, RunLab } from '../../support/schedule/run-lab.ts';
import { withCatalog } from '../../support/service/with-catalog.ts';

const A = randomUUID();
const B = randomUUID();
const TEN = '2026-05-04T10:00:02Z';
const ELEVEN = '2026-05-04T11:00:02Z';

let source: DataSource;
let a: RunLab;
let b: RunLab;
withCatalog(
  (opened) => {
    source = opened;
  },
  ['policy', 'policy_revision', 'run', 'job', 'vm', 'host'],
);
beforeEach(async () => {
  RunLab.forget(source);
  [a, b] = [new RunLab(source, A), new RunLab(source, B)];
  setVms(labVm('web', A), labVm('db', B));
});

function setVms(...vms: RunLab['vms']): void {
  a.vms = vms;
  b.vms = vms;
}

const states = (runs: readonly StoredRun[]): string[] =>
  runs.map(({ vmName, state }) => `${vmName} ${state}`).sort();

describe('runs of several hosts', () => {
  it('are written by whoever looks first, and started by the host of their VM', async () => {
    await a.policy('hourly');

    expect(states(await a.at(TEN))).toEqual(['db due', 'web queued']);
    expect(states(await b.at(TEN))).toEqual(['db queued', 'web queued']);
    await a.end('web', 'P1');
    const runs = await b.end('db', 'P2');

    expect(brief(runs)).toEqual(['10:00 db sealed 1', '10:00 web sealed 1']);
    expect(runs.map(({ vmName, hostId }) => [vmName, hostId]).sort()).toEqual([
      ['db', B],
      ['web', A],
    ]);
    expect([a, b].map(({ backups }) => backups.begun.map(({ vmId }) => vmId))).toEqual([
      ['vm-web'],
      ['vm-db'],
    ]);
  });

  it('fire once whatever the order, and many at once', async () => {
    await a.policy('hourly');
    const labs = Array.from({ length: 6 }, (_, at) => new RunLab(source, at % 2 === 0 ? A : B));
    for (const lab of labs) {
      lab.vms = a.vms;
      lab.clock.set(TEN);
    }

    await Promise.all(labs.map(async (lab) => lab.scheduler.tick()));

    expect(await a.rows.list({ limit: 10 })).toHaveLength(2);
    expect(labs.flatMap(({ backups }) => backups.begun)).toHaveLength(2);
  });

  it('wait for their host while others go on, and are taken once when it is back', async () => {
    await a.policy('hourly');
    await a.at(TEN);
    await a.end('web', 'P1');

    await a.at(ELEVEN);
    expect(brief(await a.end('web', 'P2'))).toEqual([
      '10:00 db due 0',
      '10:00 web sealed 1',
      '11:00 db skipped 0 (still waiting)',
      '11:00 web sealed 1',
    ]);

    await b.at(ELEVEN);
    expect(brief(await b.end('db', 'P3'))[0]).toBe('10:00 db sealed 1');
  });

  it('are together no more than their policy allows', async () => {
    setVms(labVm('a1', A), labVm('a2', A), labVm('b1', B), labVm('b2', B));
    await a.policy('hourly', { limits: { atOnce: 2 } });
    expect(states(await a.at(TEN))).toEqual(['a1 queued', 'a2 queued', 'b1 due', 'b2 due']);
    expect(states(await b.at(TEN))).toEqual(['a1 queued', 'a2 queued', 'b1 due', 'b2 due']);
    await a.end('a1', 'P1');
    const after = (await b.tick()).map(({ vmName, state }) => `${vmName.slice(0, 1)} ${state}`);
    expect(after.sort()).toEqual(['a running', 'a sealed', 'b due', 'b queued']);
  });

  it('begin one after the other where their policy has a limit', async () => {
    setVms(...['a1', 'a2', 'a3', 'a4'].map((name) => labVm(name, B)));
    await a.policy('hourly', { limits: { atOnce: 2 } });
    const runs = await a.at(TEN);

    const begun = await Promise.all(
      runs.map(async (run) => a.rows.begin(run, { state: 'queued' }, 2)),
    );

    expect(begun.filter(Boolean)).toHaveLength(2);
    const queued = states(await a.rows.list({ limit: 10 })).filter((each) =>
      each.includes('queued'),
    );
    expect(queued).toHaveLength(2);
  });

  it('end when another host has their VM, whatever became of the first one', async () => {
    await a.policy('hourly', { selector: { vms: ['db', 'web'] } });
    await a.at(TEN);
    setVms(labVm('web', B), labVm('db', A));

    await b.at(ELEVEN);

    expect(brief(await a.at(ELEVEN))).toEqual([
      '10:00 db skipped 0 (the VM is on another host now)',
      '10:00 web failed 1 (the VM is on another host now)',
      '11:00 db queued 1',
      '11:00 web due 0 (the VM is busy)',
    ]);
  });

  it('follow their VM to another host once their job there has ended', async () => {
    const inventory = new InventoryRows(source);
    const facts = { address: null, version: '1', lastSeenMs: 1 };
    const times = { firstSeenMs: 1, lastSeenMs: 1, goneAtMs: null };
    const vm = { id: 'vm-db', name: 'db', engine: 'fake', status: 'running', tags: [], ...times };
    await inventory.note({ id: B, name: 'b', ...facts }, () => [{ ...vm, hostId: B }]);
    await a.policy('hourly', { selector: { vms: ['db'] } });
    await a.at(TEN);
    const [{ jobId } = { jobId: null }] = await b.at(TEN);
    await source.query(
      `INSERT INTO "job" ("id", "kind", "state", "subject", "parameters", "created_at_ms")
       VALUES ($1, 'backup', 'queued', '{}', '{}', 1)`,
      [jobId],
    );

    await inventory.note({ id: A, name: 'a', ...facts }, () => [{ ...vm, hostId: A }]);
    const waits = await a.at('2026-05-04T10:05Z');
    await source.query(`UPDATE "job" SET "state" = 'interrupted'`);
    await b.jobs.cancel(jobId ?? '');
    const [follows] = await a.at('2026-05-04T10:06Z');

    expect(waits.map(({ hostId, state }) => [hostId, state])).toEqual([[B, 'queued']]);
    expect(follows?.hostId).toBe(A);
  });

  it('are not ended by a look that saw them before their host went on', async () => {
    await a.policy('hourly', { selector: { vms: ['db'] } });
    await a.at(TEN);
    const [seen] = await a.rows.list({ limit: 1 });
    const [policy] = await a.policyRows.list();
    await b.at(TEN);
    if (seen === undefined || policy === undefined) {
      throw new Error('nothing was due');
    }

    const written = await a.rows.fire({
      policyId: policy.id,
      fromMs: policy.horizonMs,
      horizonMs: policy.horizonMs + 1,
      runs: [],
      ended: [{ run: seen, change: { state: 'failed' } }],
    });

    expect(written).toBe(false);
    expect((await a.policyRows.list())[0]?.horizonMs).toBe(policy.horizonMs);
    expect(states(await a.rows.list({ limit: 1 }))).toEqual(['db queued']);
  });
});
