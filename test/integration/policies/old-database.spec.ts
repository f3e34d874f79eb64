import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { CatalogAge } from '../../../src/catalog/catalog-age.ts';
import { brief, RunLab } from '../../support/schedule/run-lab.ts';
import { withCatalog } from '../../support/service/with-catalog.ts';

let source: DataSource;
withCatalog((opened) => {
  source = opened;
});
beforeEach(async () => {
  await source.query(
    'TRUNCATE "policy", "policy_revision", "run", "job", "recovery_point", "host"',
  );
});

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
    await lab.end('db', 'P2');
  });

  it('loses, once it is accepted, what was queued or ran when it was dumped, and no other run', async () => {
    const lab = new RunLab(source);
    await lab.policy('hourly');
    await lab.at('2026-05-04T10:00Z');
    await lab.backups.running('vm-web');
    await lab.tick();
    // The lab has its jobs in memory. A service that starts with a dump ends those that it says to
    // run.
    await source.query(
      `INSERT INTO "job" ("id", "kind", "state", "subject", "parameters", "created_at_ms")
         SELECT "job_id", 'backup', CASE "vm_name" WHEN 'web' THEN 'interrupted' ELSE 'running' END,
                '{}', '{}', 1
           FROM "run"`,
    );
    await findUnknownRun();

    const accepted = await new CatalogAge(source).accept(lab.clock.nowMs());

    expect(accepted).toMatchObject({ points: 1, policies: 1, skippedRuns: 1 });
    expect(brief((await lab.rows.list({ limit: 10 })).reverse())).toEqual([
      '10:00 db running 1',
      '10:00 web skipped 1 (before the catalog was accepted)',
    ]);
    expect(brief(await lab.end('db', 'P2'))).toContain('10:00 db sealed 1');
  });
});
