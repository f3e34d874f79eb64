import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { CareRunRows } from '../../../src/catalog/care/care-run-rows.ts';
import { CatalogAge } from '../../../src/catalog/catalog-age.ts';
import { OldRows } from '../../../src/catalog/old-rows.ts';
import { VerificationRows } from '../../../src/catalog/verification/verification-rows.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { Housekeeping } from '../../../src/policies/runs/housekeeping.ts';
import { HandClock } from '../../support/schedule/hand-clock.ts';
import { withCatalog } from '../../support/service/with-catalog.ts';

const DAY_MS = 86_400_000;
const HOST = randomUUID();
const OTHER = randomUUID();
const EMPTY = randomUUID();

let source: DataSource;
let clock: HandClock;
let housekeeping: Housekeeping;

withCatalog(
  (opened) => {
    source = opened;
  },
  ['run', 'care_run', 'vm', 'host', 'recovery_point'],
);
beforeEach(async () => {
  await source.query('UPDATE "schedule_state" SET "known_from_ms" = 0');
  clock = new HandClock('2026-05-04T10:00Z');
  const parts = { rows: new OldRows(source), age: new CatalogAge(source), clock };
  const verifications = new VerificationRows(source);
  const care = new CareRunRows(source);
  const rest = { verifications, care, host: { id: HOST }, log: new SilentLog() };
  housekeeping = new Housekeeping(
    { ...parts, ...rest },
    { runsMs: 400 * DAY_MS, goneMs: 100 * DAY_MS },
  );
});

function daysAgo(days: number): number {
  return clock.ms - days * DAY_MS;
}

async function addRun(vm: string, ageDays: number, state = 'sealed'): Promise<string> {
  const id = randomUUID();
  await source.query(
    `INSERT INTO "run" ("id", "policy_id", "policy_name", "revision", "vm_id", "vm_name",
       "fire_at_ms", "state", "attempt", "next_try_at_ms")
     VALUES ($1, $2, 'p', 1, $3, $3, $4, $5, 1, 0)`,
    [id, randomUUID(), vm, daysAgo(ageDays), state],
  );
  return id;
}

/** A verification that ended; without a policy it is of a new point. */
async function addVerification(key: string, ageDays: number, policy: string | null): Promise<void> {
  await source.query(
    `INSERT INTO "verification_run" ("id", "key", "vault_id", "vm_id", "vm_name", "point_id",
       "policy_id", "level", "due_at_ms", "state", "attempt", "next_try_at_ms", "ended_at_ms")
     VALUES ($1, $2, 'v', $2, $2, $2, $3, 1, 0, 'whole', 1, 0, $4)`,
    [randomUUID(), key, policy, daysAgo(ageDays)],
  );
}

async function addHost(id: string, ageDays: number): Promise<void> {
  await source.query(
    `INSERT INTO "host" ("id", "name", "version", "last_seen_ms") VALUES ($1, 'h', '1', $2)`,
    [id, daysAgo(ageDays)],
  );
}

async function addVm(id: string, hostId: string, goneDays: number | null): Promise<void> {
  await source.query(
    `INSERT INTO "vm" ("id", "host_id", "engine", "name", "status", "tags", "first_seen_ms",
       "last_seen_ms", "gone_at_ms") VALUES ($1, $2, 'fake', $1, 'stopped', '{}', 1, 1, $3)`,
    [id, hostId, goneDays === null ? null : daysAgo(goneDays)],
  );
}

/** @param run which the point is of */
async function addPoint(vm: string, run: string, ageDays: number): Promise<void> {
  await source.query(
    `INSERT INTO "recovery_point" ("vault_id", "id", "vm_id", "vm_name", "taken_at_ms", "point",
       "changed", "holds", "origin_kind", "origin_service", "run_id")
     VALUES ('v', $1, $2, $2, 1, $3, 1, '[]', 'policy', $4, $5)`,
    [randomUUID(), vm, JSON.stringify({ origin: { fireAtMs: daysAgo(ageDays) } }), ...[HOST, run]],
  );
}

async function ids(table: string, column = 'id'): Promise<unknown[]> {
  const rows = await source.query<Record<string, unknown>[]>(`SELECT "${column}" FROM "${table}"`);
  return rows.map((row) => row[column]).sort();
}

describe('housekeeping', () => {
  it('removes old runs, except the newest 50 of each VM and those that have not ended', async () => {
    const young = [];
    for (let index = 0; index < 49; index += 1) {
      young.push(await addRun('busy', index));
    }
    const fiftieth = await addRun('busy', 401);
    await addRun('busy', 402);
    await addRun('busy', 900);
    const open = await addRun('busy', 901, 'due');
    const rare = [await addRun('rare', 500), await addRun('rare', 900)];

    await housekeeping.tidy();

    expect(await ids('run')).toEqual([...young, fiftieth, open, ...rare].sort());
  });

  it('keeps points of runs that were removed from making the database look old', async () => {
    await addHost(HOST, 0);
    for (let index = 0; index < 50; index += 1) {
      await addRun('web', index);
    }
    await addPoint('web', await addRun('web', 402), 402);
    await addPoint('web', await addRun('web', 450), 450);

    await housekeeping.tidy();

    expect(await ids('run')).toHaveLength(50);
    expect(await new CatalogAge(source).unknownRuns()).toBeUndefined();
    // What it should know, it still misses.
    await addPoint('web', randomUUID(), 401);
    expect(await new CatalogAge(source).unknownRuns()).toMatchObject({ points: 1 });
  });

  it('removes VMs and hosts that are gone for long, unless something is left of them', async () => {
    await addHost(HOST, 500);
    await addHost(OTHER, 500);
    await addHost(EMPTY, 500);
    await addVm('there', OTHER, null);
    await addVm('just-gone', OTHER, 99);
    await addVm('long-gone', EMPTY, 101);
    await addVm('with-points', OTHER, 101);
    await addPoint('with-points', await addRun('with-points', 1), 1);

    await housekeeping.tidy();

    expect(await ids('vm')).toEqual(['just-gone', 'there', 'with-points']);
    expect(await ids('host')).toEqual([HOST, OTHER].sort());
  });

  it('removes nothing by a clock that is wrong, or from a database from an older dump', async () => {
    await addHost(EMPTY, 500);
    clock.wrong = 'differs';
    await housekeeping.tidy();
    clock.wrong = undefined;
    await addHost(HOST, 0);
    await addPoint('web', randomUUID(), 1);
    await housekeeping.tidy();
    expect(await ids('host')).toEqual([HOST, EMPTY].sort());

    await source.query('TRUNCATE "recovery_point"');
    await housekeeping.tidy();
    expect(await ids('host')).toEqual([HOST]);
  });

  it('removes verifications of new points after a month, and those of policies with their runs', async () => {
    await source.query('DELETE FROM "verification_run"');
    const policy = randomUUID();
    await addVerification('new, old', 31, null);
    await addVerification('new, young', 29, null);
    await addVerification('policy, old', 401, policy);
    await addVerification('policy, young', 399, policy);

    await housekeeping.tidy();

    const rows = await source.query<{ key: string }[]>(
      'SELECT "key" FROM "verification_run" ORDER BY "key"',
    );
    expect(rows.map(({ key }) => key)).toEqual(['new, young', 'policy, young']);
  });
});
