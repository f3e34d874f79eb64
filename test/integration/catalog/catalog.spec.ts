import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { openCatalog } from '../../../src/catalog/database/catalog-source.ts';
import { UnstorableRow, type StoredJob } from '../../../src/catalog/jobs/job-statements.ts';
import { PointCatalog, type PointLeftOut } from '../../../src/catalog/point-catalog.ts';
import { PointProofs } from '../../../src/catalog/point-proofs.ts';
import type { CataloguedPoint } from '../../../src/catalog/rows/recovery-point.row.ts';
import { VaultRegistrations } from '../../../src/catalog/vault-registrations.ts';
import { openJobStorage, type OpenJobStorage } from '../../support/jobs/job-storage.ts';
import { createDatabase, type TestDatabase } from '../../support/service/database.ts';

let database: TestDatabase;
let source: DataSource;
let jobs: OpenJobStorage;
beforeAll(async () => {
  database = await createDatabase();
  source = await openCatalog(database);
  jobs = await openJobStorage(source, database);
});
afterAll(async () => {
  await jobs[Symbol.asyncDispose]();
  await source.destroy();
  await database.drop();
});

const point = (id: string, vmId = 'vm-1', takenAtMs = 5_000_000_000_000): CataloguedPoint => ({
  id,
  vmId,
  vmName: 'web',
  takenAtMs,
  consistency: 'crash',
  notes: ['a note'],
  disks: [
    {
      diskId: 'disk-1',
      name: 'system',
      sizeBytes: 1024,
      tracking: { id: 'tracking-1', generation: 7 },
      method: 'full',
      reason: 'first-backup',
      statistics: { readBytes: 1, newBytes: 2, storedBytes: 3 },
    },
  ],
  files: [],
});

const job = (change: Partial<StoredJob> = {}): StoredJob => ({
  id: randomUUID(),
  kind: 'backup',
  state: 'queued',
  exclusiveKey: null,
  lane: 'data',
  priority: 0,
  hostId: null,
  ...{ claimedBy: null, token: null, leaseUntilMs: null, leaseMs: null, cancelRequested: false },
  subject: { vmName: 'web' },
  parameters: { full: true },
  actor: 'local',
  createdAtMs: 1,
  startedAtMs: null,
  finishedAtMs: null,
  progress: null,
  fault: null,
  result: null,
  ...change,
});

describe('the catalog database', () => {
  it('has exactly the tables that the rows describe', async () => {
    const { upQueries } = await source.driver.createSchemaBuilder().log();

    expect(upQueries.map(({ query }) => query)).toEqual([]);
  });

  it('is migrated once when several services start at once', async () => {
    const fresh = await createDatabase();

    const sources = await Promise.all([1, 2, 3, 4].map(() => openCatalog(fresh)));

    const [first] = sources;
    const migrations: unknown = await first?.query('SELECT name FROM migration');
    await Promise.all(sources.map((each) => each.destroy()));
    await fresh.drop();
    expect(migrations).toEqual([
      { name: 'FirstTables1795000000000' },
      { name: 'VaultUpkeep1795100000000' },
      { name: 'PointChanges1795200000000' },
      { name: 'PointOrigins1795300000000' },
      { name: 'Inventory1795400000000' },
      { name: 'Policies1795500000000' },
      { name: 'Runs1795600000000' },
      { name: 'NamedTokens1795700000000' },
      { name: 'RunActors1795800000000' },
      { name: 'ScheduleState1795900000000' },
      { name: 'RunHosts1796000000000' },
      { name: 'JobClaims1796100000000' },
      { name: 'Retention1796300000000' },
      { name: 'Collector1796400000000' },
      { name: 'Suspicion1796500000000' },
      { name: 'Care1796700000000' },
      { name: 'VerificationRuns1796800000000' },
      { name: 'HostVaults1796900000000' },
    ]);
  });
});

/** Registers a vault. @returns its id */
async function registered(): Promise<string> {
  const id = randomUUID();
  const place = { name: id, location: `/v/${id}`, singleWriter: false, createdAtMs: 1 };
  await new VaultRegistrations(source).add({ id, ...place });
  return id;
}

async function idsOf(points: PointCatalog, vaultId: string): Promise<string[]> {
  return (await points.list({ vaultId })).map((found) => found.point.id);
}

/** Replaces the catalog by a listing during which nothing else happened. */
async function replace(
  points: PointCatalog,
  vaultId: string,
  listed: readonly CataloguedPoint[],
  holds: readonly { readonly id: string; readonly atMs: number; readonly reason: string }[] = [],
): Promise<PointLeftOut[]> {
  const listing = await points.beginListing();
  return points.replace(vaultId, { listing, points: listed, holds });
}

describe('PointCatalog', () => {
  it('gives back what was put, whole', async () => {
    const points = new PointCatalog(source);
    const vaultId = await registered();

    await points.put(vaultId, point('A'));
    await points.put(vaultId, point('A'));

    expect(await points.list({ vaultId })).toEqual([{ vaultId, point: point('A'), holds: [] }]);
  });

  it('has columns that say where a point comes from, made anew from what the vault lists', async () => {
    const points = new PointCatalog(source);
    const vaultId = await registered();
    const origin = { kind: 'policy', service: 's', policy: 'p', run: 'r', group: 'g' } as const;
    const columns = async (): Promise<unknown> =>
      source.query(
        `SELECT id, origin_kind, origin_service, policy_name, run_id, group_id FROM recovery_point
         WHERE vault_id = $1 ORDER BY id`,
        [vaultId],
      );
    const ofPolicy = {
      origin_kind: 'policy',
      ...{ origin_service: 's', policy_name: 'p', run_id: 'r', group_id: 'g' },
    };
    const none = {
      origin_kind: null,
      ...{ origin_service: null, policy_name: null, run_id: null, group_id: null },
    };
    await points.put(vaultId, { ...point('A'), origin });
    await points.put(vaultId, point('B'));
    expect(await columns()).toEqual([
      { id: 'A', ...ofPolicy },
      { id: 'B', ...none },
    ]);
    expect((await points.list({ vaultId })).map((found) => found.point.origin)).toEqual([
      origin,
      undefined,
    ]);

    await replace(points, vaultId, [point('A'), { ...point('B'), origin }]);

    expect(await columns()).toEqual([
      { id: 'A', ...none },
      { id: 'B', ...ofPolicy },
    ]);
  });

  it('becomes exactly what the vault holds', async () => {
    const points = new PointCatalog(source);
    const vaultId = await registered();
    await replace(points, vaultId, [point('A'), point('B')]);

    await replace(points, vaultId, [point('B'), point('C')]);

    const ids = (await points.list({ vaultId })).map((found) => found.point.id);
    expect(ids).toEqual(['B', 'C']);
  });

  it('says which points are held, as the vault did', async () => {
    const points = new PointCatalog(source);
    const vaultId = await registered();
    const hold = (reason: string) => ({ id: 'B', atMs: 5, reason });

    await replace(points, vaultId, [point('A'), point('B')], [hold('court'), hold('audit')]);

    const holds = (await points.list({ vaultId })).map((found) => found.holds);
    expect(holds).toEqual([
      [],
      [
        { atMs: 5, reason: 'court' },
        { atMs: 5, reason: 'audit' },
      ],
    ]);
  });

  it('takes the newest of each vault by id, whatever the clock said', async () => {
    const points = new PointCatalog(source);
    const vmId = randomUUID();
    const [one, two] = [await registered(), await registered()];
    await replace(points, one, [point('A', vmId, 9), point('B', vmId, 1)]);
    await replace(points, two, [point('C', vmId)]);

    const newest = await points.newestOf(vmId);

    expect(new Set(newest.map((found) => found.point.id))).toEqual(new Set(['B', 'C']));
  });

  it('puts a point that was brought back where the one was whose content it has', async () => {
    const points = new PointCatalog(source);
    const vmId = randomUUID();
    const vaultId = await registered();
    const id = (last: string) => `01KAPX0000000000000000000${last}`;
    const back = {
      ...point(id('D'), vmId),
      notes: ['a note', `Brought back from ${id('A')}, which had been given up.`],
    };
    await replace(points, vaultId, [back, point(id('B'), vmId), point(id('C'), vmId)]);

    const listed = await points.list({ vaultId });
    const [newest] = await points.newestOf(vmId);

    expect(listed.map((found) => found.point.id)).toEqual([id('D'), id('B'), id('C')]);
    expect(newest?.point.id).toBe(id('C'));
  });

  it.each(['early', 'late'])(
    'shows the later listing when the %s one is written first',
    async (first) => {
      const points = new PointCatalog(source);
      const vaultId = await registered();
      await replace(points, vaultId, [point('A')]);
      const early = { listing: await points.beginListing(), points: [point('A'), point('B')] };
      const late = { listing: await points.beginListing(), points: [point('B'), point('C')] };

      for (const listed of first === 'early' ? [early, late] : [late, early]) {
        await points.replace(vaultId, listed);
      }

      expect(await idsOf(points, vaultId)).toEqual(['B', 'C']);
    },
  );

  it('waits for each other when two bring it up to date at once, and shows the later listing', async () => {
    const points = new PointCatalog(source);
    const vaultId = await registered();
    await replace(points, vaultId, [point('A')]);
    const [early, late] = [await points.beginListing(), await points.beginListing()];

    await Promise.all([
      points.replace(vaultId, { listing: late, points: [point('B'), point('C')] }),
      points.replace(vaultId, { listing: early, points: [point('A'), point('B')] }),
      points.replace(vaultId, { listing: late, points: [point('B'), point('C')] }),
    ]);

    expect(await idsOf(points, vaultId)).toEqual(['B', 'C']);
  });

  it('keeps a point that was put after the listing began, whenever it ends', async () => {
    const points = new PointCatalog(source);
    const vaultId = await registered();
    const listing = await points.beginListing();
    await points.put(vaultId, point('B'));

    await points.replace(vaultId, { listing, points: [point('A')] });
    expect(await idsOf(points, vaultId)).toEqual(['A', 'B']);

    await replace(points, vaultId, [point('A')]);
    expect(await idsOf(points, vaultId)).toEqual(['A']);
  });

  it('lets a point that was put wait for one who lists, and the other way round', async () => {
    const points = new PointCatalog(source);
    const vaultId = await registered();
    for (let round = 0; round < 10; round++) {
      const listing = await points.beginListing();
      const fresh = `N${String(round)}`;
      await Promise.all([
        points.put(vaultId, point(fresh)),
        points.replace(vaultId, { listing, points: [point('A')] }),
        points.replace(vaultId, { listing, points: [point('A')] }),
      ]);
      expect(await idsOf(points, vaultId)).toContain(fresh);
    }
  });

  it('leaves out a point that the database does not take, and writes all others', async () => {
    const points = new PointCatalog(source);
    const vaultId = await registered();
    const bad = point('B', 'vm-1', 1.5);

    const left = await replace(points, vaultId, [point('A'), bad, point('C')]);

    expect(left).toMatchObject([{ pointId: 'B' }]);
    expect(await idsOf(points, vaultId)).toEqual(['A', 'C']);
  });

  it('keeps the holds of a point that is put again', async () => {
    const points = new PointCatalog(source);
    const vaultId = await registered();
    await replace(points, vaultId, [point('A')], [{ id: 'A', atMs: 5, reason: 'court' }]);

    await points.put(vaultId, point('A'));

    expect(await points.list({ vaultId })).toMatchObject([{ holds: [{ reason: 'court' }] }]);
  });

  it('knows nothing of a vault that was forgotten while it was listed or written to', async () => {
    const points = new PointCatalog(source);
    const vaultId = await registered();
    await new VaultRegistrations(source).remove(vaultId);

    await points.put(vaultId, point('A'));
    await replace(points, vaultId, [point('B')]);

    expect(await idsOf(points, vaultId)).toEqual([]);
  });
});

describe('PointProofs', () => {
  const check = (atMs: number) => ({ atMs, by: 'a', level: 2 });

  it('shows the later of verification and scrubs, and damage until it is proven whole again', async () => {
    const proofs = new PointProofs(source);
    const vaultId = randomUUID();
    const found = async () => (await proofs.list()).find((proof) => proof.vaultId === vaultId);
    const scrub = { packs: 2, proven: 1, damaged: 0 };

    await proofs.scrubbed(vaultId, 'A', scrub);
    expect(await found()).toEqual({ vaultId, pointId: 'A', scrub });
    await proofs.verified(vaultId, 'A', check(5));
    expect(await found()).toEqual({
      ...{ vaultId, pointId: 'A' },
      provenAtMs: 5,
      check: check(5),
      scrub,
    });
    await proofs.scrubbed(vaultId, 'A', { packs: 2, proven: 2, damaged: 0, oldestMs: 4 });
    expect(await found()).toMatchObject({ provenAtMs: 5, scrub: { proven: 2 } });
    await proofs.damaged(vaultId, 'A', check(9));
    expect(await found()).toMatchObject({ provenAtMs: 5, damagedAtMs: 9 });
    const added = { atMs: 10, by: 'b', level: 1, addedLevel: 2 };
    await proofs.verified(vaultId, 'A', added);
    expect(await found()).toMatchObject({ provenAtMs: 5, damagedAtMs: 9, check: added });
    await proofs.verified(vaultId, 'A', check(10));
    expect(await found()).not.toHaveProperty('damagedAtMs');
  });

  it('goes with its point, and with its vault: another place may be registered under its id', async () => {
    const proofs = new PointProofs(source);
    const vaultId = randomUUID();
    const ids = async () =>
      (await proofs.list()).filter((proof) => proof.vaultId === vaultId).map((p) => p.pointId);
    for (const id of ['A', 'B', 'C']) {
      await proofs.verified(vaultId, id, check(1));
    }

    await proofs.keep(vaultId, ['A', 'C']);
    expect((await ids()).toSorted()).toEqual(['A', 'C']);
    await new PointCatalog(source).forget(vaultId);
    expect(await ids()).toEqual([]);
  });
});

describe('JobRows', () => {
  it('refuses a second unfinished job with one key', async () => {
    const { rows } = jobs;
    const first = job({ exclusiveKey: 'backup web' });
    await rows.add(first, 9);

    const hostId = randomUUID();
    await source.query(`INSERT INTO host VALUES ('${hostId}', 'far', NULL, '1', 0)`);
    await source.query(`UPDATE job SET claimed_by = '${hostId}' WHERE id = '${first.id}'`);

    await expect(rows.add(job({ exclusiveKey: 'backup web' }), 9)).rejects.toMatchObject({
      code: 'job.conflict',
      message: expect.stringContaining(`on the host far, job ${first.id}`) as string,
    });

    await rows.endQueued(first.id, { state: 'cancelled', finishedAtMs: 2, result: { a: 1 } });
    const second = job({ exclusiveKey: 'backup web' });
    await rows.add(second, 9);
    expect(await rows.get(first.id)).toMatchObject({ result: { a: 1 }, finishedAtMs: 2 });
    await rows.endQueued(second.id, { state: 'cancelled' });
  });
});

describe('VaultRegistrations', () => {
  it('keeps a registration, and one name for one vault', async () => {
    const registrations = new VaultRegistrations(source);
    const vault = {
      id: randomUUID(),
      name: 'main',
      location: 's3://bucket/prefix',
      endpoint: 'http://127.0.0.1:9000',
      singleWriter: false,
      createdAtMs: 1,
    };
    await registrations.add(vault);

    expect(await registrations.get('main')).toEqual(vault);
    expect(await registrations.get(vault.id)).toEqual(vault);
    await expect(registrations.add({ ...vault, id: randomUUID() })).rejects.toMatchObject({
      code: 'vault.name-taken',
    });
    await registrations.remove(vault.id);
    await expect(registrations.get('main')).rejects.toMatchObject({ code: 'vault.unknown' });
  });
});

describe('texts that PostgreSQL does not take', () => {
  const HOSTILE = 'agent said \0 and half \ud83d';
  const STORED = 'agent said \u{fffd} and half \u{fffd}';

  it('are stored in readable form in the rows of jobs', async () => {
    const { rows } = jobs;
    const row = job({ subject: { vmName: HOSTILE } });
    const { id } = row;
    await rows.add(row, 9);
    await rows.endQueued(id, {
      state: 'succeeded',
      progress: { phase: HOSTILE },
      fault: { message: HOSTILE },
      result: { notes: [HOSTILE] },
    });

    expect(await rows.get(id)).toMatchObject({
      subject: { vmName: STORED },
      progress: { phase: STORED },
      fault: { message: STORED },
      result: { notes: [STORED] },
    });
  });

  it('are stored in readable form in the rows of points, and found by name again', async () => {
    const points = new PointCatalog(source);
    const hostile = { ...point('01HOSTILE', 'vm-hostile'), vmName: HOSTILE, notes: [HOSTILE] };

    const vaultId = await registered();
    await points.put(vaultId, hostile);
    await replace(points, vaultId, [hostile], [{ id: hostile.id, atMs: 1, reason: HOSTILE }]);

    const [listed] = await points.list({ vaultId });
    expect(listed).toMatchObject({
      point: { vmName: STORED, notes: [STORED] },
      holds: [{ atMs: 1, reason: STORED }],
    });
    expect(await points.vmIdsNamed(HOSTILE)).toEqual(['vm-hostile']);
  });

  it('are told apart from a database that is away', async () => {
    const { rows } = jobs;
    const row = job();
    await rows.add(row, 9);

    await expect(rows.endQueued(row.id, { finishedAtMs: 0.5 })).rejects.toBeInstanceOf(
      UnstorableRow,
    );
  });
});
