import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import type { StoredRun } from '../../../src/catalog/run-rows.ts';
import { Fault } from '../../../src/kernel/fault.ts';
import { brief, labVm, RunLab } from '../../support/schedule/run-lab.ts';
import { withCatalog } from '../../support/service/with-catalog.ts';

const MINUTE_MS = 60_000;

let source: DataSource;
withCatalog(
  (opened) => {
    source = opened;
  },
  ['policy', 'policy_revision', 'run'],
);
beforeEach(() => {
  RunLab.forget(source);
});

const away = (): Fault => new Fault('store.unreachable', 'away');

describe('runs of policies', () => {
  it('makes one run a VM at each fire time, and seals it with the point of its job', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly');

    expect(await lab.at('2026-05-04T09:59:59Z')).toEqual([]);
    await lab.at('2026-05-04T10:00:02Z');
    await lab.end('web', 'P1');
    const runs = await lab.end('db', 'P2');

    expect(brief(runs)).toEqual(['10:00 db sealed 1', '10:00 web sealed 1']);
    const [db] = runs.filter(({ vmName }) => vmName === 'db');
    expect(db).toMatchObject({ pointId: 'P2', vaultId: 'vault-1', revision: 1, fault: null });
    const { origin } = lab.backups.begun.find(({ vmId }) => vmId === 'vm-db') ?? {};
    expect(origin).toEqual({
      kind: 'policy',
      policy: 'hourly',
      revision: 1,
      run: db?.id,
      fireAtMs: Date.parse('2026-05-04T10:00Z'),
      attempt: 1,
    });
  });

  it('fires again for VMs that came, never twice for the same time, also in many processes', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly');
    const others = Array.from({ length: 4 }, () => new RunLab(source));
    for (const other of others) {
      other.clock.set('2026-05-04T10:00:02Z');
    }
    await Promise.all(others.map(async (other) => other.scheduler.tick()));
    lab.vms.push(labVm('new'));

    const runs = await lab.at('2026-05-04T11:00:02Z');

    expect(runs).toHaveLength(5);
    expect(new Set(runs.map(({ vmId, fireAtMs }) => `${vmId} ${fireAtMs}`)).size).toBe(5);
  });

  it('catches up once after an outage', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly', { selector: { vms: ['web'] } });

    expect(brief(await lab.at('2026-05-04T13:20Z'))).toEqual([
      '10:00 web skipped 0 (missed)',
      '11:00 web skipped 0 (missed)',
      '12:00 web skipped 0 (missed)',
      '13:00 web queued 1',
    ]);
  });

  it('neither fires again nor moves the horizon when the clock is set back', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly', { selector: { vms: ['web'] } });
    await lab.at('2026-05-04T10:00:02Z');
    await lab.end('web', 'P1');

    await lab.at('2026-05-04T06:00Z');
    expect(await lab.at('2026-05-04T10:00:01Z')).toHaveLength(1);
    expect((await lab.policyRows.list())[0]?.horizonMs).toBe(Date.parse('2026-05-04T10:00:02Z'));
    expect(await lab.at('2026-05-04T11:00Z')).toHaveLength(2);
  });

  it('lets a run that is ahead of the clock wait', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly', { selector: { vms: ['web'] }, limits: { atOnce: 1 } });
    await lab.at('2026-05-04T12:00Z');
    await lab.end('web', away());
    await lab.at('2026-05-04T09:00Z');
    expect(lab.backups.begun).toHaveLength(1);

    await lab.at('2026-05-04T12:01Z');
    expect(lab.backups.begun).toHaveLength(2);
  });

  it('gives a backup the limits of its policy', async () => {
    const lab = new RunLab(source);
    const limits = { rate: '2MiB/s', guestLatency: '50ms' };
    await lab.policy('hourly', { selector: { vms: ['web'] }, limits });
    await lab.at('2026-05-04T10:00Z');
    await lab.backups.running('vm-web');

    expect(lab.backups.begun).toMatchObject([
      {
        rateLimits: { windows: [{ bytesPerSecond: 2 * 1024 * 1024 }] },
        guestLatency: { p99MsMax: 50, underEmulation: false },
      },
    ]);
  });

  it('does nothing while its clock cannot be trusted', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly');
    lab.clock.wrong = 'differs';
    expect(await lab.at('2026-05-04T10:00Z')).toEqual([]);
    lab.clock.wrong = undefined;
    expect(await lab.tick()).toHaveLength(2);
  });

  it('tries again while something is away, until the next run is due', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly', { selector: { vms: ['web'] } });
    await lab.at('2026-05-04T10:00Z');
    for (const minutes of [1, 2, 5, 15, 15]) {
      const [run] = await lab.end('web', away());
      expect(run).toMatchObject({ state: 'due', fault: { code: 'store.unreachable' } });
      expect(run?.nextTryAtMs).toBe(lab.clock.ms + minutes * MINUTE_MS);
      lab.clock.pass(minutes);
      await lab.tick();
    }
    lab.clock.pass(10);
    expect(brief(await lab.end('web', away()))).toEqual([
      '10:00 web failed 6 (the next run is due)',
    ]);
  });

  it('ends a run that waits for another attempt when the next one is due', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly', { selector: { vms: ['web'] } });
    await lab.at('2026-05-04T10:58Z');
    await lab.end('web', away());

    expect(brief(await lab.at('2026-05-04T11:00Z'))).toEqual([
      '10:00 web failed 1 (the next run is due)',
      '11:00 web queued 1',
    ]);
  });

  it('does not try again what would fail again', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly', { selector: { vms: ['web'] } });
    await lab.policy('lost', { selector: { vms: ['db'] }, vault: 'unknown' });
    await lab.at('2026-05-04T10:00Z');

    const runs = await lab.end('web', new Fault('store.denied', 'no'));

    expect(brief(runs)).toEqual(['10:00 db failed 1', '10:00 web failed 1']);
    expect(runs.map(({ fault }) => (fault as { code: string }).code).sort()).toEqual([
      'store.denied',
      'vault.unknown',
    ]);
  });

  it('waits for a backup by hand, however long it takes', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly', { selector: { vms: ['web'] } });
    await lab.hand('web');

    const waiting = ['10:00 web due 0 (the VM is busy)'];
    expect(brief(await lab.at('2026-05-04T10:00Z'))).toEqual(waiting);
    expect(brief(await lab.at('2026-05-04T10:01Z'))).toEqual(waiting);
    expect(brief(await lab.at('2026-05-04T10:40Z'))).toEqual(waiting);

    await lab.endHand('web');
    expect(brief(await lab.at('2026-05-04T10:41Z'))).toEqual(['10:00 web queued 1']);
    expect(brief(await lab.end('web', 'P'))).toEqual(['10:00 web sealed 1']);
  });

  it('lets the next run take the place of one that a backup by hand kept waiting', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly', { selector: { vms: ['web'] } });
    await lab.hand('web');
    await lab.at('2026-05-04T10:00Z');

    expect(brief(await lab.at('2026-05-04T11:00Z'))).toEqual([
      '10:00 web skipped 0 (superseded)',
      '11:00 web due 0 (the VM is busy)',
    ]);
    await lab.endHand('web');
    await lab.at('2026-05-04T11:01Z');
    expect(brief(await lab.end('web', 'P'))[1]).toBe('11:00 web sealed 1');
  });

  it('gives the place of a run that waits for its VM to others', async () => {
    const lab = new RunLab(source);
    lab.vms = ['a', 'b', 'c', 'd', 'e'].map((name) => labVm(name));
    await lab.policy('hourly');
    await lab.hand('a');

    const runs = brief(await lab.at('2026-05-04T10:00Z'));
    expect(runs.filter((line) => line.includes('queued'))).toHaveLength(4);
  });

  it('lets the older run go on, and skips the next one', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly', { selector: { vms: ['web'] } });
    await lab.at('2026-05-04T10:00Z');

    expect(brief(await lab.at('2026-05-04T11:00Z'))).toEqual([
      '10:00 web running 1',
      '11:00 web skipped 0 (still running)',
    ]);
    expect(brief(await lab.end('web', 'P'))[0]).toBe('10:00 web sealed 1');
  });

  it('starts no more at once than a policy allows, and the important ones first', async () => {
    const lab = new RunLab(source);
    lab.vms = ['a1', 'a2', 'b1', 'b2', 'b3', 'b4'].map((name) => labVm(name));
    await lab.policy('a', { selector: { vms: ['a*'] }, limits: { atOnce: 1 }, priority: 'high' });
    await lab.policy('b', { selector: { vms: ['b*'] } });

    const states = brief(await lab.at('2026-05-04T10:00Z')).map((line) => line.split(' ')[2]);

    expect(states.filter((state) => state === 'queued')).toHaveLength(4);
    expect(states.slice(0, 2).sort()).toEqual(['due', 'queued']);
  });

  it('takes one point of a VM at a time, whatever its policies are', async () => {
    const lab = new RunLab(source);
    await lab.policy('a', { selector: { vms: ['web'] } });
    await lab.policy('b', { selector: { vms: ['web'] } });
    const states = (runs: readonly StoredRun[]) => runs.map(({ state }) => state).sort();

    expect(states(await lab.at('2026-05-04T10:00Z'))).toEqual(['due', 'queued']);
    expect(states(await lab.end('web', 'P1'))).toEqual(['queued', 'sealed']);
    expect(states(await lab.end('web', 'P2'))).toEqual(['sealed', 'sealed']);
  });

  it('writes nothing of a look that somebody else was faster with, and moves no horizon back', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly');
    const [policy] = await lab.policyRows.list();
    const look = { policyId: policy?.id ?? '', runs: [], ended: [] };
    const fromMs = policy?.horizonMs ?? 0;

    expect(await lab.rows.fire({ ...look, fromMs, horizonMs: fromMs + 9 })).toBe(true);
    expect(await lab.rows.fire({ ...look, fromMs, horizonMs: fromMs + 5 })).toBe(false);
    await lab.rows.moveHorizons([look.policyId], fromMs);
    expect((await lab.policyRows.list())[0]?.horizonMs).toBe(fromMs + 9);
  });

  it('goes on with what a kill interrupted, and with what had no job yet', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly');
    await lab.at('2026-05-04T10:00Z');
    await lab.backups.running('vm-web');
    await lab.backups.running('vm-db');
    // The process ended between writing the job's id and starting it.
    await source.query(`UPDATE "run" SET "job_id" = $1 WHERE "vm_id" = 'vm-db'`, [randomUUID()]);

    await lab.killAndStart();
    expect(brief(await lab.at('2026-05-04T10:00:20Z'))).toEqual([
      '10:00 db queued 1',
      '10:00 web queued 2',
    ]);
    await lab.end('web', 'P1');
    expect(brief(await lab.end('db', 'P2'))).toEqual(['10:00 db sealed 1', '10:00 web sealed 2']);
  });

  it('goes on with the others when the document of one cannot be read, and says so once', async () => {
    const lab = new RunLab(source);
    await lab.policy('broken', { selector: { vms: ['web'] } });
    await lab.policy('hourly', { selector: { vms: ['db'] } });
    await lab.at('2026-05-04T10:00Z');
    const older = `"document" ->> 'name' = 'broken'`;
    await source.query(
      `UPDATE "policy_revision" SET "document" = "document" || '{"colour":1}' WHERE ${older}`,
    );
    await lab.end('db', 'P1');
    await lab.end('web', away());
    const runs = await lab.at('2026-05-04T11:00Z');

    expect(brief(runs)).toEqual([
      '10:00 db sealed 1',
      '10:00 web due 1 (tries again)',
      '11:00 db queued 1',
    ]);
    expect(lab.log.told).toEqual([
      {
        event: 'policy.unreadable',
        fields: {
          policy: 'broken',
          revision: 1,
          problem: expect.stringContaining('colour') as unknown,
        },
      },
    ]);

    await source.query(
      `UPDATE "policy_revision" SET "document" = "document" - 'colour' WHERE ${older}`,
    );
    expect(brief(await lab.at('2026-05-04T11:00:05Z'))).toEqual([
      '10:00 db sealed 1',
      '10:00 web failed 1 (the next run is due)',
      '11:00 db running 1',
      '11:00 web queued 1',
    ]);
  });

  it('gives a group one job, and all its runs the same end', async () => {
    const lab = new RunLab(source);
    const group = { freezeWithin: '3s', late: 'fail' };
    await lab.policy('shop', {
      group,
      limits: { atOnce: 1 },
      schedule: { every: '1h', jitter: '1m' },
    });
    await lab.at('2026-05-04T10:01Z');

    const again = await lab.endGroup(away());
    expect(brief(again)).toEqual(['10:00 db due 1 (tries again)', '10:00 web due 1 (tries again)']);
    await lab.at('2026-05-04T10:02Z');
    const runs = await lab.endGroup();

    expect(brief(runs)).toEqual(['10:00 db sealed 2', '10:00 web sealed 2']);
    expect(runs.map(({ pointId }) => pointId).sort()).toEqual(['point of db', 'point of web']);
    expect(new Set(runs.map(({ jobId }) => jobId)).size).toBe(1);
    expect(lab.backups.begun).toHaveLength(2);
    expect(lab.backups.begun[1]).toMatchObject({
      members: runs.map(({ vmId, id }) => ({ vmId, run: id })),
      rules: { freezeWithinMs: 3000, spreadMs: 500, late: 'fail' },
      origin: { kind: 'group', policy: 'shop', attempt: 2 },
    });
  });

  it('lets a group wait for each of its VMs and for all the room, and nobody overtake it', async () => {
    const lab = new RunLab(source);
    lab.vms.push(...['a', 'b', 'c'].map((name) => labVm(name)));
    await lab.policy('shop', { group: {}, selector: { vms: ['a', 'b', 'c'] }, priority: 'high' });
    await lab.policy('rest', { selector: { vms: ['web', 'db', 'c'] } });
    await lab.hand('a');
    await lab.at('2026-05-04T10:00Z');
    const refused = await lab.endGroup(new Fault('engine.vm-busy', 'a is busy'));
    // Which of the jobs that have room is claimed by now is a matter of time.
    expect(brief(refused).map((line) => line.replace('running', 'queued'))).toEqual([
      ...['10:00 a due 0 (the VM is busy)', '10:00 b due 0 (the VM is busy)'],
      ...['10:00 c due 0 (the VM is busy)', '10:00 c queued 1'],
      ...['10:00 db queued 1', '10:00 web queued 1'],
    ]);
    await lab.endHand('a');
    const ofShop = (runs: readonly StoredRun[]) =>
      brief(runs.filter(({ policyName }) => policyName === 'shop')).map((line) =>
        line.slice(6, 14),
      );

    expect(ofShop(await lab.at('2026-05-04T10:01Z'))).toEqual(['a due 0 ', 'b due 0 ', 'c due 0 ']);
    expect(ofShop(await lab.end('c', 'P1'))).toEqual(['a due 0 ', 'b due 0 ', 'c due 0 ']);
    expect(ofShop(await lab.end('db', 'P2'))).toEqual(['a queued', 'b queued', 'c queued']);
    await lab.endGroup();
  });

  it('refuses a group whose VMs are on several hosts, with words, on each of them', async () => {
    const lab = new RunLab(source);
    lab.vms = [labVm('db'), labVm('web', randomUUID())];
    await lab.policy('shop', { group: {} });

    const runs = await lab.at('2026-05-04T10:00Z');

    expect(brief(runs)).toEqual(['10:00 db failed 0', '10:00 web failed 0']);
    expect(runs[0]?.fault).toMatchObject({
      code: 'policy.group-refused',
      message: expect.stringContaining('has VMs on 2 hosts: db on here, web on here') as string,
    });
    expect(lab.backups.begun).toEqual([]);
  });

  it('skips the fire time of a whole group while one of its VMs still goes on', async () => {
    const lab = new RunLab(source);
    await lab.policy('shop', { group: {} });
    await lab.at('2026-05-04T10:00Z');

    expect(brief(await lab.at('2026-05-04T11:00Z')).slice(2)).toEqual([
      ...['11:00 db skipped 0 (still running)', '11:00 web skipped 0 (still running)'],
    ]);

    expect(brief(await lab.endGroup(away())).slice(0, 2)).toEqual([
      ...['10:00 db failed 1 (the next run is due)', '10:00 web failed 1 (the next run is due)'],
    ]);
  });

  it('starts nothing of a policy that was removed', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly', {
      selector: { vms: ['web'] },
      schedule: { cron: '@hourly', jitter: '10m' },
    });
    await lab.at('2026-05-04T10:00Z');
    await source.query('DELETE FROM "policy"');
    await lab.at('2026-05-04T10:10Z');

    expect(brief(await lab.tick())).toEqual(['10:00 web skipped 0 (the policy was removed)']);
  });
});
