import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { CatalogAge } from '../../../src/catalog/catalog-age.ts';
import { Fault } from '../../../src/kernel/fault.ts';
import { brief, CareLab, VAULT } from '../../support/care/care-lab.ts';
import { withCatalog } from '../../support/service/with-catalog.ts';

const A = randomUUID();
const B = randomUUID();
const HOURLY = { schedule: { cron: '@hourly' } };
/** Only a scrub, each hour. */
const SCRUB = { never: ['prune'], scrub: HOURLY };
const COPY = { name: 'offsite', location: '/copies/main' };

let source: DataSource;
withCatalog(
  (opened) => {
    source = opened;
  },
  ['care_revision', 'care_task', 'care_run', 'policy'],
);
beforeEach(() => {
  CareLab.forget(source);
});

const away = (): Fault => new Fault('store.unreachable', 'the store is away');

async function labWith(parts: object, hostId = A): Promise<CareLab> {
  const lab = new CareLab(source, hostId);
  await lab.write(parts);
  await lab.tick();
  return lab;
}

describe('the care of a vault on schedule', () => {
  it('scrubs daily and prunes weekly when nothing is written, and keeps locks where there are any', async () => {
    const lab = new CareLab(source, A);
    const names = async (): Promise<string[]> => {
      await lab.tick();
      return (await lab.tasks.list()).map(({ task }) => task);
    };
    expect(await names()).toEqual(['prune', 'scrub']);
    lab.vault.locked = true;
    expect(await names()).toEqual(['keep', 'prune', 'scrub']);

    const runs = await lab.at('2026-05-11T12:00Z');
    await lab.running(2);
    // Two jobs of this lane run at once on a host.
    await lab.end(undefined, 1);
    await lab.running(3);

    const due = runs.filter(({ state }) => state !== 'skipped');
    expect(brief(due)).toEqual([
      '05-10T03:00 prune queued 1',
      '05-11T01:00 scrub queued 1',
      '05-11T05:00 keep queued 1',
    ]);
    expect(runs.filter(({ why }) => why === 'missed')).toHaveLength(12);
    expect(lab.begun.map(({ kind, parameters }) => [kind, parameters]).sort()).toEqual([
      ['keep', { vaultId: VAULT.id, limits: {}, everything: false }],
      ['prune', { vaultId: VAULT.id, limits: {}, dryRun: false, rules: {} }],
      ['scrub', { vaultId: VAULT.id, limits: {}, depth: 'ids' }],
    ]);
  });

  it('does each run once, however many services look', async () => {
    const ids = Array.from({ length: 4 }, () => randomUUID());
    const labs = [await labWith(SCRUB), ...ids.map((id) => new CareLab(source, id))];
    for (const lab of labs) {
      lab.live = [A, ...ids];
      lab.clock.set('2026-05-04T13:00:02Z');
    }
    await Promise.all(labs.map(async (lab) => lab.scheduler.tick()));
    await Promise.all(labs.map(async (lab) => lab.scheduler.tick()));

    const begun = labs.flatMap((lab) => lab.begun);
    expect(brief((await labs[0]?.rows.list({ limit: 100 })) ?? [])).toEqual([
      expect.stringMatching(/13:00 scrub (queued|running) 1/),
    ]);
    expect(begun.length).toBeLessThanOrEqual(1);
  });

  it('tells a job its budget, its share, its place and its rates', async () => {
    const budget = { requests: 10, bytes: '2GiB', cost: 0.5 };
    const lab = await labWith({
      never: ['prune'],
      scrub: { ...HOURLY, budget, parts: 4, depth: 'frames' },
      copies: [
        {
          ...{ ...COPY, profile: 'off', within: '1h', rate: '2MiB/s', prune: false },
          rates: [{ from: '08:00', to: '18:00', rate: '1MiB/s' }],
        },
      ],
    });
    await lab.at('2026-05-04T13:00:02Z');
    await lab.running(2);

    const limits = { requests: 10, bytes: 2 * 1024 ** 3, cost: 0.5 };
    const told = Object.fromEntries(lab.begun.map(({ kind, parameters }) => [kind, parameters]));
    expect(told['scrub']).toMatchObject({ limits, budget: { share: 0.25 }, depth: 'frames' });
    expect(told['copy']).toMatchObject({
      ...{ limits: {}, prune: false, readBack: false },
      to: { location: COPY.location, profile: 'off', singleWriter: false },
      rateLimits: {
        zone: 'UTC',
        windows: [{ from: '08:00', bytesPerSecond: 1024 ** 2 }, { bytesPerSecond: 2 * 1024 ** 2 }],
      },
    });
  });

  it('goes on after a kill, wherever that was', async () => {
    const lab = await labWith(SCRUB);
    await lab.at('2026-05-04T13:00:02Z');
    await lab.running();
    await lab.killAndStart();
    await lab.tick();
    expect(brief(await lab.tick())).toEqual([expect.stringMatching(/scrub (queued|running) 2/)]);
    await lab.running(2);

    // Killed after the id of the job was written and before the job was.
    const [run] = await lab.rows.unfinished();
    await source.query('UPDATE "care_run" SET "job_id" = $1, "state" = $2', [
      randomUUID(),
      'queued',
    ]);
    CareLab.forget(source);
    await lab.tick();
    await lab.running(3);
    expect(await lab.end()).toMatchObject([{ id: run?.id, state: 'done', attempt: 2 }]);
  });

  it('is gone on with by another service when the one that began is gone', async () => {
    const lab = await labWith(SCRUB);
    const other = new CareLab(source, B);
    lab.live = [A, B];
    other.live = [A, B];
    await lab.at('2026-05-04T13:00:02Z');
    await lab.running();
    CareLab.forget(source);

    await other.at('2026-05-04T13:01Z');
    expect(other.begun).toHaveLength(0);
    other.live = [B];
    await other.tick();
    await other.running();
    expect(await other.end()).toMatchObject([{ state: 'done', hostId: B }]);
  });

  it('tries again while the store is away, says so once, and once that all is well', async () => {
    const lab = await labWith({ never: ['prune', 'scrub'], copies: [{ ...COPY, ...HOURLY }] });
    await lab.at('2026-05-04T13:00:02Z');
    for (const minutes of [1, 2, 5]) {
      await lab.running();
      const [run] = await lab.end(away());
      expect(run).toMatchObject({ state: 'due', nextTryAtMs: lab.clock.ms + minutes * 60_000 });
      lab.begun.pop();
      lab.clock.pass(minutes);
      await lab.tick();
    }
    expect(await lab.task('copy offsite')).toMatchObject({
      ...{ trouble: 'the store is away', troubleCode: 'store.unreachable' },
      troubleSinceMs: Date.parse('2026-05-04T13:00:02Z'),
    });
    await lab.running();
    expect(brief(await lab.end())).toEqual(['05-04T13:00 copy offsite done 4']);

    expect(lab.said('care.trouble')).toEqual([
      { vault: 'main', task: 'copy offsite', reason: 'the store is away' },
    ]);
    expect(lab.said('care.well')).toHaveLength(1);
    expect(await lab.task('copy offsite')).toMatchObject({ trouble: null, troubleSinceMs: null });
  });

  it('does not try again what would end as before, and says why', async () => {
    const lab = await labWith(SCRUB);
    await lab.at('2026-05-04T13:00:02Z');
    await lab.running();
    const [run] = await lab.end(new Fault('vault.damage-found', 'two slots are lost'));
    expect(run).toMatchObject({ state: 'failed', fault: { code: 'vault.damage-found' } });
    expect(await lab.task('scrub')).toMatchObject({ troubleCode: 'vault.damage-found' });
  });

  it('takes a budget that is used up for the end of a run, and of a copy for trouble', async () => {
    const lab = await labWith({ ...SCRUB, copies: [{ ...COPY, ...HOURLY }] });
    await lab.at('2026-05-04T13:00:02Z');
    await lab.running(2);
    await lab.end(new Fault('budget.reached', 'enough'), 1);
    const runs = await lab.end(new Fault('budget.reached', 'enough'), 2);

    expect(brief(runs).sort()).toEqual([
      '05-04T13:00 copy offsite done 1 (its budget was used up)',
      '05-04T13:00 scrub done 1 (its budget was used up)',
    ]);
    expect(await lab.task('scrub')).toMatchObject({ trouble: null });
    expect((await lab.task('copy offsite'))?.trouble).toContain('budget was used up');
  });

  it('ends with its window, and the next run goes on', async () => {
    const window = { from: '13:00', to: '14:00' };
    const schedule = { every: '1h', window };
    const lab = await labWith({ never: ['prune'], scrub: { schedule } });
    await lab.at('2026-05-04T13:00:02Z');
    await lab.running();
    await lab.at('2026-05-04T13:59Z');
    expect((await lab.rows.unfinished())[0]?.why).toBeNull();
    await lab.at('2026-05-04T14:00Z');

    expect(brief(await lab.tick())).toEqual(['05-04T13:00 scrub done 1 (its window ended)']);
    expect(await lab.task('scrub')).toMatchObject({ trouble: null });
  });

  it('waits for whoever does the same by hand', async () => {
    const lab = await labWith(SCRUB);
    await lab.care.run(VAULT, 'scrub');
    await lab.running();
    expect(await lab.care.run(VAULT, 'scrub')).toMatchObject({ isOpen: true });
    await expect(lab.care.run(VAULT, 'copy nowhere')).rejects.toMatchObject({
      code: 'care.unknown',
    });

    const runs = await lab.at('2026-05-04T13:00:02Z');
    expect(brief(runs)).toEqual([
      expect.stringMatching(/12:00 scrub (queued|running) 1/),
      '05-04T13:00 scrub skipped 0 (still running)',
    ]);
  });

  it('waits for a key, says once that nobody has it, and goes on when somebody has', async () => {
    const lab = await labWith(SCRUB);
    const other = new CareLab(source, B);
    for (const each of [lab, other]) {
      each.hasKey = false;
      each.live = [A, B];
    }
    await lab.at('2026-05-04T13:00:02Z');
    expect(lab.said('care.trouble')).toEqual([]);
    for (const time of ['13:00:02', '14:00:02', '15:00:02']) {
      await other.at(`2026-05-04T${time}Z`);
      await lab.at(`2026-05-04T${time}Z`);
    }
    const said = [...lab.said('care.trouble'), ...other.said('care.trouble')];
    expect(said).toMatchObject([
      { task: 'scrub', reason: expect.stringContaining('key') as unknown },
    ]);

    other.hasKey = true;
    await other.tick();
    await other.running();
    expect(brief(await other.end())).toEqual([
      '05-04T13:00 scrub done 1',
      '05-04T14:00 scrub skipped 0 (still waiting)',
      '05-04T15:00 scrub skipped 0 (still waiting)',
    ]);
    expect(await lab.task('scrub')).toMatchObject({ trouble: null });
  });

  it('leaves a run that the store denies one host to another', async () => {
    const lab = await labWith(SCRUB);
    const other = new CareLab(source, B);
    lab.live = [A, B];
    other.live = [A, B];
    await lab.at('2026-05-04T13:00:02Z');
    await lab.running();
    await lab.end(new Fault('store.denied', 'may not'));
    await lab.tick();
    expect(lab.begun).toHaveLength(1);

    await other.at('2026-05-04T13:01Z');
    await other.running();
    const runs = await other.end(new Fault('store.denied', 'may not'));
    await other.tick();
    expect(runs).toHaveLength(1);
    expect(await lab.tick()).toMatchObject([{ state: 'failed', fault: { code: 'store.denied' } }]);
    const said = [...lab.said('care.trouble'), ...other.said('care.trouble')];
    expect(said).toMatchObject([{ reason: 'may not' }]);
  });

  it('prunes after it was decided what is given up', async () => {
    const lab = await labWith({ never: ['scrub'], prune: HOURLY });
    lab.isDecided = false;
    expect(brief(await lab.at('2026-05-04T13:00:02Z'))).toEqual(['05-04T13:00 prune due 0']);
    lab.isDecided = true;
    await lab.tick();
    expect((await lab.running()).kind).toBe('prune');
  });

  it('begins another schedule when it is written, and skips what is not wanted any more', async () => {
    const lab = await labWith(SCRUB);
    await lab.at('2026-05-04T12:55Z');
    await lab.write({ never: ['prune'], scrub: { schedule: { cron: '50 * * * *' } } });
    expect(await lab.tick()).toEqual([]);
    await lab.write(SCRUB);
    await lab.tick();
    lab.hasKey = false;
    await lab.at('2026-05-04T13:00:02Z');
    await lab.write({ never: ['scrub', 'prune'] });
    expect(brief(await lab.tick())).toEqual(['05-04T13:00 scrub skipped 0 (not wanted any more)']);
    expect(await lab.tasks.list()).toEqual([]);

    await lab.at('2026-05-04T15:30Z');
    await lab.write(SCRUB);
    expect(await lab.tick()).toHaveLength(1);
    expect(brief(await lab.at('2026-05-04T16:00Z')).at(-1)).toContain('05-04T16:00 scrub due 0');
  });

  it('stands still while the vaults know more than the database, and goes on from when that is accepted', async () => {
    const lab = await labWith(SCRUB);
    await source.query('UPDATE "schedule_state" SET "known_from_ms" = 0');
    const host = randomUUID();
    const origin = { kind: 'policy', fireAtMs: Date.parse('2026-05-04T12:30Z'), run: randomUUID() };
    await source.query(
      `INSERT INTO "host" ("id", "name", "version", "last_seen_ms") VALUES ($1, 'h', '1', 1)`,
      [host],
    );
    await source.query(
      `INSERT INTO "recovery_point" ("vault_id", "id", "vm_id", "vm_name", "taken_at_ms", "point",
         "changed", "holds", "origin_kind", "origin_service", "run_id")
       VALUES ('v', 'Q', 'v', 'web', 1, $1, 1, '[]', 'policy', $2, $3)`,
      [{ origin, disks: [] }, host, origin.run],
    );
    lab.hasKey = false;
    expect(await lab.at('2026-05-04T13:00:02Z')).toEqual([]);
    await new CatalogAge(source).accept(lab.clock.ms);
    await lab.at('2026-05-04T14:00:02Z');
    expect(brief(await lab.tick())).toEqual([expect.stringContaining('14:00 scrub due 0')]);
    await source.query('DELETE FROM "recovery_point"');
  });

  it('keeps the newest runs of a task, and those that have not ended', async () => {
    const lab = await labWith(SCRUB);
    await lab.at('2026-05-04T23:00:02Z');
    await lab.running();
    const beforeMs = Date.parse('2026-05-05T00:00Z');
    expect(await lab.rows.removeEnded(beforeMs, 3)).toBe(8);
    expect(brief(await lab.tick())).toEqual([
      expect.stringContaining('21:00 scrub skipped'),
      expect.stringContaining('22:00 scrub skipped'),
      expect.stringMatching(/23:00 scrub (queued|running)/),
    ]);
  });

  it('does nothing while its clock cannot be trusted, or what is written cannot be read', async () => {
    const lab = await labWith(SCRUB);
    lab.clock.wrong = 'differs';
    expect(await lab.at('2026-05-04T13:00:02Z')).toEqual([]);
    lab.clock.wrong = undefined;
    await source.query(`UPDATE "care_revision" SET "document" = '{"vault":"main","more":1}'`);
    expect(await lab.tick()).toEqual([]);
    expect(await lab.task('scrub')).toBeDefined();
  });

  it('says that a copy is late although nothing fails, and takes it back when it has followed', async () => {
    const copies = [{ ...COPY, within: '90m' }];
    const lab = await labWith({ never: ['prune', 'scrub'], copies });
    const change = await lab.tasks.nextChange();
    await source.query(
      `INSERT INTO "recovery_point" ("vault_id", "id", "vm_id", "vm_name", "taken_at_ms", "point", "changed", "holds")
       VALUES ($1, 'P', 'v', 'web', $2, '{"disks":[{"statistics":{"storedBytes":5}},{"statistics":{"storedBytes":7}}]}', $3, '[]')`,
      [VAULT.id, lab.clock.ms, change],
    );
    const stateOf = async () => (await lab.care.list()).tasks[0]?.copy;
    expect(await stateOf()).toMatchObject({ points: 1, bytes: 12, sinceMs: lab.clock.ms });

    await lab.at('2026-05-04T12:30:01Z');
    await lab.running();
    await lab.at('2026-05-04T13:31Z');
    expect(lab.said('care.trouble')).toMatchObject([{ task: 'copy offsite' }]);
    expect(await stateOf()).toMatchObject({ isLate: true });
    await lab.end();

    expect(await stateOf()).toMatchObject({ points: 0, bytes: 0, isLate: false });
    expect(lab.said('care.well')).toHaveLength(1);
    await source.query('DELETE FROM "recovery_point"');
  });
});
