import type { DataSource } from 'typeorm';
import { SilentLog } from '../../../src/kernel/log.ts';
import { ServiceRecords } from '../../../src/vault/records/service-records.ts';
import { Holds } from '../../../src/vault/points/holds.ts';
import type { RetentionReport } from '../../../src/policies/retention/deciding/retention-report.ts';
import { RetentionLab } from '../../support/retention/retention-lab.ts';
import { withCatalog } from '../../support/service/with-catalog.ts';
import { faultCodeOf } from '../../support/service/fault-code.ts';
import { signal } from '../../support/vault/vault-lab.ts';

let source: DataSource;
let lab: RetentionLab;
withCatalog(
  (opened) => {
    source = opened;
  },
  [
    'policy',
    'policy_revision',
    'vault',
    'host',
    'recovery_point',
    'point_proof',
    'point_decision',
    'point_owner',
    'carried_revision',
    'retention_look',
  ],
);
beforeEach(async () => {
  lab = await RetentionLab.create(source);
});
afterEach(async () => {
  await lab.close();
});

function dueIds({ due }: RetentionReport): string[] {
  return due.map(({ pointId }) => pointId);
}

/** A policy whose rules have been carried out with nothing to give up yet, then five more days. */
async function dailyFor(days: number): Promise<string[]> {
  await lab.policy('p', { retention: { daily: 3 } });
  await lab.decide();
  return lab.takeDaily(days);
}

describe('retention', () => {
  it('gives up what the rules do not keep, once, and remembers why', async () => {
    const ids = await dailyFor(5);

    const report = await lab.decide();

    expect(report.retired).toEqual(ids.slice(3).reverse());
    expect(await lab.left()).toEqual(ids.slice(0, 3));
    const rows = await lab.rows.decisions(lab.vault.id);
    expect(rows.find(({ pointId }) => pointId === ids[0])?.because).toEqual([
      { rule: 'daily', period: '2026-11-30', policy: 'p' },
    ]);
    const again = await lab.decide();
    expect([again.due, again.kept, again.retired]).toEqual([[], 3, []]);
    expect(await lab.rows.decisions(lab.vault.id)).toHaveLength(3);
  });

  it('keeps what nobody decides about, until a person gives it to a policy', async () => {
    await lab.policy('p', { retention: { daily: 1 } });
    await lab.decide();
    const byHand = await lab.take(9, { kind: 'hand', service: lab.host });
    const plain = await lab.take(8, {});
    const foreign = await lab.take(7, { kind: 'policy', service: 'other', policy: 'p' });
    const removed = await lab.take(6, { kind: 'policy', service: lab.host, policy: 'gone' });
    const gone = { id: '99999999-2222-4333-8444-555555555555', name: 'gone', tags: [] };
    const p = { kind: 'policy', service: lab.host, policy: 'p' } as const;
    const ofGone = await lab.take(5, p, gone);
    const old = await lab.take(4);
    await lab.take(0);
    await lab.sync();

    const report = await lab.decide();

    expect(report.retired).toEqual([old]);
    const whys = report.undecided.map(({ pointId, because }) => [pointId, because[0]?.period]);
    expect(new Map(whys as [string, string][])).toEqual(
      new Map([
        [byHand, 'by-hand'],
        [plain, 'by-hand'],
        [foreign, 'other-service'],
        [removed, 'policy-gone'],
        [ofGone, 'vm-gone'],
      ]),
    );
    expect(await lab.keeping.adopt('p', [byHand.slice(0, 26)], true)).toHaveLength(1);
    expect((await lab.decide()).retired).toEqual([]);
    await lab.keeping.adopt('p', [byHand, removed], false);
    expect((await lab.decide()).retired.toSorted()).toEqual([byHand, removed].sort());
  });

  it('gives nothing up that another policy keeps', async () => {
    const ids = await dailyFor(5);
    await lab.policy('other', { retention: { daily: 4 } });
    expect((await lab.decide()).retired).toEqual(ids.slice(4));
    await lab.policy('all', {});
    await lab.takeDaily(2);
    expect((await lab.decide()).retired).toEqual([]);
  });

  it('lets a revision wait that gives up more than falls due in a week', async () => {
    await lab.policy('p', { retention: { daily: 30 } });
    await lab.decide();
    const ids = await lab.takeDaily(20);
    await lab.policy('p', { retention: { daily: 2 } });

    const report = await lab.decide();

    expect([report.retired, dueIds(report)]).toEqual([[], []]);
    expect(report.waiting).toMatchObject([{ policy: 'p', revision: 2, carried: 1 }]);
    expect(report.waiting[0]?.pointIds).toHaveLength(18);
    const dry = await lab.keeping.retire({ policy: 'p', dryRun: true, gone: [] }, { signal });
    expect([dry.retired, await lab.left()]).toEqual([[], ids]);
    const done = await lab.keeping.retire({ policy: 'p', dryRun: false, gone: [] }, { signal });
    expect([done.retired.length, await lab.left()]).toEqual([18, ids.slice(0, 2)]);
  });

  it('waits for a person when points were there before any rules', async () => {
    await lab.takeDaily(5);
    await lab.policy('p', { retention: { daily: 3 } });
    expect(await lab.decide()).toMatchObject({ retired: [], waiting: [{ revision: 1 }] });
  });

  it('does not take a block for a reason to carry a revision out', async () => {
    await lab.policy('p', { retention: { daily: 30 } });
    await lab.decide();
    const [newest = ''] = await lab.takeDaily(20);
    await lab.proofs.damaged(lab.vault.id, newest, { atMs: 5, by: 'host', level: 2 });
    await lab.policy('p', { retention: { last: 1 } });
    expect((await lab.decide()).blocked).toHaveLength(1);
    await lab.proofs.verified(lab.vault.id, newest, { atMs: 6, by: 'host', level: 2 });
    expect(await lab.decide()).toMatchObject({ retired: [], waiting: [{ revision: 2 }] });
  });

  it('gives nothing up of a VM of which a point is damaged', async () => {
    const ids = await dailyFor(5);
    await lab.proofs.damaged(lab.vault.id, ids[1] ?? '', { atMs: 5, by: 'host', level: 2 });
    expect(await lab.decide()).toMatchObject({ due: [], retired: [] });
    await lab.proofs.verified(lab.vault.id, ids[1] ?? '', { atMs: 6, by: 'host', level: 2 });
    expect((await lab.decide()).retired).toHaveLength(2);
  });

  it('leaves points that were held, or are read, since it was decided', async () => {
    const ids = await dailyFor(6);
    const [held = '', read = ''] = ids.slice(3);
    let looks = 0;
    const records = new ServiceRecords(lab.vault.inside.base, new SilentLog());
    lab.retention.blockedBy(async () => {
      looks += 1;
      if (looks === 2) {
        const { base, points, log } = lab.vault.inside;
        const vmId = lab.vms[0]?.id ?? '';
        const why = { reason: 'audit', atMs: 1 };
        await new Holds(base, log).hold(points, { vmId, id: held }, why, signal);
        const atMs = lab.vault.inside.clock.nowMs();
        const lease = { lease: read, reader: 'a restore', untilMs: atMs + 3_600_000 };
        const being = [{ vm: vmId, point: read }];
        await records.put('other', { kind: 'reading', atMs, ...lease, points: being }, signal);
      }
      return new Map();
    });

    const report = await lab.decide();

    expect(report.retired).toEqual([ids[5]]);
    expect(new Map(report.passedOver.map(({ pointId, why }) => [pointId, why]))).toEqual(
      new Map([
        [held, `the point ${held} is held ("audit")`],
        [read, `the point ${read} is being read by a restore`],
      ]),
    );
    expect((await lab.decide()).due).toEqual([]);
  });

  it('only decides where the retention key is not kept', async () => {
    await lab.close();
    await source.query('TRUNCATE "vault", "host"');
    lab = await RetentionLab.create(source, { retentionPassphrase: 'another long passphrase' });
    await dailyFor(5);

    const report = await lab.decide();

    expect(report.notHere).toContain('retention key');
    expect([report.due.length, report.retired.length]).toEqual([2, 0]);
    expect(await lab.left()).toHaveLength(5);
    const records = new ServiceRecords(lab.vault.inside.base, new SilentLog());
    await lab.decide();
    const published = await records.read(signal);
    expect(published.map(({ record }) => record)).toMatchObject([
      { kind: 'decisions', service: lab.host, decisions: [{ policy: 'p' }, { policy: 'p' }] },
    ]);
  });
});

describe('retention never decides on what does not fit together', () => {
  async function refused(code: string): Promise<void> {
    const before = await lab.left();
    expect(await faultCodeOf(lab.decide())).toBe(code);
    expect(await lab.left()).toEqual(before);
  }

  it('on a list of the vault that leaves points out', async () => {
    const ids = await dailyFor(5);
    lab.store.leavesOut = (key) => key.includes(ids[1] ?? '');
    await refused('retention.points-differ');
    lab.store.leavesOut = () => false;
    expect((await lab.decide()).retired).toHaveLength(2);
  });

  it('on a vault from which points vanished, until a person says that they are gone', async () => {
    const ids = await dailyFor(5);
    const vmId = lab.vms[0]?.id ?? '';
    const [, gone = ''] = ids;
    for (const key of [`s/${vmId}/${gone}`, `s/${vmId}/${gone}.ok`]) {
      await lab.store.remove(key, signal);
    }
    await refused('retention.points-differ');
    const request = { policy: 'p', dryRun: false, gone: [gone] };
    const { retired } = await lab.keeping.retire(request, { signal });
    expect(retired).toEqual([ids[4]]);
  });

  it('on what only a dry run was told to be gone', async () => {
    const ids = await dailyFor(5);
    await lab.decide();
    const vmId = lab.vms[0]?.id ?? '';
    const [, gone = ''] = ids;
    for (const key of [`s/${vmId}/${gone}`, `s/${vmId}/${gone}.ok`]) {
      await lab.store.remove(key, signal);
    }
    await source.query('DELETE FROM "recovery_point" WHERE "id" = $1', [gone]);

    await lab.keeping.retire({ policy: 'p', dryRun: true, gone: [gone] }, { signal });

    await refused('retention.points-differ');
  });

  it('on a catalog that does not know points of this service', async () => {
    const ids = await dailyFor(5);
    await lab.forgetPoints(ids.slice(0, 2));
    await refused('retention.points-differ');
    await lab.sync();
    expect((await lab.decide()).retired).toHaveLength(2);
  });

  it('on a list that does not show that newer points were given up', async () => {
    await lab.policy('p', { retention: { daily: 2 } });
    await lab.decide();
    const ids = await lab.takeDaily(3);
    const given = await lab.take(0.1);
    await lab.sync();
    const vmId = lab.vms[0]?.id ?? '';
    await lab.vault.inside.points.retire({ vmId, id: given }, 1, signal);
    await lab.vault.inside.points.retire({ vmId, id: ids[0] ?? '' }, 1, signal);
    lab.store.leavesOut = (key, prefix) => prefix === 'retire/' && key.startsWith('retire/');

    const report = await lab.decide();

    expect(report.due.map(({ pointId }) => pointId)).toContain(ids[2]);
    expect(report.retired).toEqual([]);
    expect(await lab.left()).toEqual(ids.slice(1));
  });

  it('by a clock that cannot be trusted', async () => {
    await dailyFor(5);
    lab.clock.wrong = 'it is wrong';
    await refused('retention.clock-unsure');
  });

  it('by a database that lost its hosts', async () => {
    await dailyFor(5);
    await source.query('TRUNCATE "host", "recovery_point", "point_decision"');
    expect(await lab.decide()).toMatchObject({ due: [], retired: [] });
  });
});
