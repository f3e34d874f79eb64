import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { CatalogAge } from '../../../src/catalog/catalog-age.ts';
import { brief, labVm, RunLab } from '../../support/schedule/run-lab.ts';
import { withCatalog } from '../../support/service/with-catalog.ts';

let source: DataSource;
withCatalog(
  (opened) => {
    source = opened;
  },
  ['policy', 'policy_revision', 'run', 'job', 'recovery_point', 'host'],
);
beforeEach(() => {
  RunLab.forget(source);
});

/** By VM: what a dump says of its run and of the job of that, and what accepting it makes of it. */
const DUMPED = {
  // A service that starts with a dump ends the jobs that it says to run.
  interrupted: { run: 'running', job: 'interrupted', then: 'skipped' },
  taken: { run: 'queued', job: 'interrupted', then: 'skipped' },
  lost: { run: 'running', job: '', then: 'skipped' },
  // The job is that of the attempt before.
  again: { run: 'due', job: 'succeeded', then: 'skipped' },
  waits: { run: 'queued', job: 'queued', then: 'queued' },
  runs: { run: 'running', job: 'running', then: 'running' },
  sealed: { run: 'running', job: 'succeeded', then: 'running' },
};

/** A vault is listed, and has a point of a run at 09:45 that the database does not know. */
async function findUnknownRun(): Promise<void> {
  const hostId = randomUUID();
  await source.query(
    `INSERT INTO "host" ("id", "name", "version", "last_seen_ms") VALUES ($1, 'h', '1', 1)`,
    [hostId],
  );
  const fireAtMs = Date.parse('2026-05-04T09:45Z');
  await source.query(
    `INSERT INTO "recovery_point" ("vault_id", "id", "vm_id", "vm_name", "taken_at_ms", "point",
       "changed", "holds", "origin_kind", "origin_service", "run_id")
     VALUES ('v', 'P0', 'vm-web', 'web', 1, $1, 1, '[]', 'policy', $2, $3)`,
    [JSON.stringify({ origin: { fireAtMs } }), hostId, randomUUID()],
  );
  await source.query('UPDATE "schedule_state" SET "known_from_ms" = $1', [fireAtMs - 1]);
}

describe('a database from an older dump', () => {
  it('begins nothing, and still writes down how the jobs that ran have ended', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly');
    await lab.at('2026-05-04T10:00Z');
    await findUnknownRun();
    await lab.at('2026-05-04T11:00Z');

    const runs = await lab.end('web', 'P1');

    expect(brief(runs)).toEqual(['10:00 db running 1', '10:00 web sealed 1']);
    expect(lab.log.told.map(({ event }) => event)).toEqual(['schedule.stands-still']);
    expect(lab.backups.begun).toHaveLength(2);
  });

  it('loses, once it is accepted, what was queued or ran when it was dumped, and no other run', async () => {
    const lab = new RunLab(source);
    lab.vms = Object.keys(DUMPED).map((name) => labVm(name));
    await lab.policy('hourly');
    await lab.at('2026-05-04T10:00Z');
    for (const [vm, { run, job }] of Object.entries(DUMPED)) {
      await source.query('UPDATE "run" SET "state" = $1, "job_id" = $2 WHERE "vm_name" = $3', [
        ...[run, randomUUID(), vm],
      ]);
      // The lab has its jobs in memory.
      await source.query(
        `INSERT INTO "job" ("id", "kind", "state", "subject", "parameters", "created_at_ms")
           SELECT "job_id", 'backup', $1, '{}', '{}', 1 FROM "run" WHERE "vm_name" = $2 AND $1 <> ''`,
        [job, vm],
      );
    }
    await findUnknownRun();

    const accepted = await new CatalogAge(source).accept(lab.clock.nowMs());

    expect(accepted).toMatchObject({ points: 1, policies: 1, skippedRuns: 4 });
    const runs = await lab.rows.list({ limit: 10 });
    expect(Object.fromEntries(runs.map(({ vmName, state }) => [vmName, state]))).toEqual(
      Object.fromEntries(Object.entries(DUMPED).map(([vm, { then }]) => [vm, then])),
    );
    expect(new Set(runs.filter(({ state }) => state === 'skipped').map(({ why }) => why))).toEqual(
      new Set(['before the catalog was accepted']),
    );
  });
});
