import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { openCatalog } from '../../../src/catalog/database/catalog-source.ts';
import { HAND_OUT_SCHEMA, QUEUE_OPTIONS, queueOf } from '../../../src/catalog/jobs/hand-out.ts';
import type { ClaimOrder } from '../../../src/catalog/jobs/job-claims.ts';
import type { StoredJob } from '../../../src/catalog/jobs/job-statements.ts';
import { laneLimits } from '../../../src/jobs/job-lanes.ts';
import { newJob } from '../../../src/jobs/live-job.ts';
import { toStored } from '../../../src/jobs/stored-job.ts';
import type { JobRequest } from '../../../src/jobs/job.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { openJobStorage, type OpenJobStorage } from '../../support/jobs/job-storage.ts';
import { SHORT_LEASES } from '../../support/jobs/short-leases.ts';
import { createDatabase, type TestDatabase } from '../../support/service/database.ts';

const [HERE, THERE] = [randomUUID(), randomUUID()];
const BACKUP = { kind: 'backup', subject: { vmName: 'web' }, parameters: {} } as const;
const INTERRUPTED = { state: 'interrupted', finishedAtMs: 9 };

let database: TestDatabase;
let source: DataSource;
let storage: OpenJobStorage;
/** As another service has it. */
let other: { readonly source: DataSource; readonly storage: OpenJobStorage };
beforeAll(async () => {
  database = await createDatabase();
  source = await openCatalog(database);
  storage = await openJobStorage(source, database);
  const second = await openCatalog(database);
  other = { source: second, storage: await openJobStorage(second, database) };
});
afterAll(async () => {
  for (const each of [other, { source, storage }]) {
    await each.storage[Symbol.asyncDispose]();
    await each.source.destroy();
  }
  await database.drop();
});
beforeEach(async () => {
  await source.query('TRUNCATE "job"');
});

let at = 0;
async function queued(change: Partial<JobRequest> = {}): Promise<StoredJob> {
  const request: JobRequest = { ...BACKUP, ...change };
  const row = toStored(newJob(request, ++at), request, HERE);
  await storage.rows.add(row, 1000);
  return row;
}

function order(change: Partial<ClaimOrder> = {}, concurrency = 100): ClaimOrder {
  return {
    ...{ hostId: HERE, nowMs: 5, leaseMs: SHORT_LEASES.leaseMs, newToken: randomUUID },
    limits: laneLimits({ concurrency }),
    fit: async () => () => true,
    ...change,
  };
}

async function claimed(): Promise<{ id: string; token: string }> {
  await queued();
  const [job] = await storage.claims.claim(order());
  return job as { id: string; token: string };
}

describe('claims of jobs', () => {
  it('are made once, however many services ask at the same time', async () => {
    for (let count = 0; count < 24; count++) {
      await queued({ place: 'any-host' });
    }

    const claims = [storage.claims, other.storage.claims, storage.claims, other.storage.claims];
    const taken = await Promise.all(claims.map(async (each) => each.claim(order({}, 6))));

    // The limit is that of the host, so all that ask for one host share it.
    expect(taken.flat()).toHaveLength(6);
    const rest = await Promise.all(claims.map(async (each) => each.claim(order())));
    const ids = [...taken, ...rest].flat().map(({ id }) => id);
    expect(ids).toHaveLength(24);
    expect(new Set(ids).size).toBe(24);
  });

  it('follow importance and age, and keep the place of what finds no room', async () => {
    const [first, second] = [await queued(), await queued()];
    const urgent = await queued({ priority: 1, place: 'any-host' });
    const restore = await queued({ kind: 'restore' });

    const take = async () =>
      (await storage.claims.claim(order({}, 1))).map(({ id }) => id).toSorted();
    const end = async (id: string): Promise<void> => {
      await source.query(`UPDATE "job" SET "state" = 'succeeded' WHERE "id" = $1`, [id]);
    };

    expect(await take()).toEqual([urgent.id, restore.id].toSorted());
    expect(await take()).toEqual([]);
    await end(urgent.id);
    expect(await take()).toEqual([first.id]);
    await end(first.id);
    expect(await take()).toEqual([second.id]);
  });

  it('leave the jobs of other hosts alone, and those that this host cannot run', async () => {
    const theirs = await queued({ place: { hostId: THERE } });
    const any = await queued({ place: 'any-host' });

    expect(await storage.claims.claim(order({ fit: async () => () => false }))).toEqual([]);
    expect(await storage.claims.claim(order())).toMatchObject([{ id: any.id, state: 'running' }]);
    const [found] = await other.storage.claims.claim(order({ hostId: THERE }));
    expect(found?.id).toBe(theirs.id);
  });

  it('pass over more jobs without room than one look takes', async () => {
    const full = { vmName: 'web', vaultId: 'full' };
    for (let count = 0; count < 60; count++) {
      await queued({ subject: full });
    }
    const last = await queued({ subject: { vmName: 'db', vaultId: 'free' } });
    const limits = laneLimits({ concurrency: 9, perVault: 1 });

    const ids = (await storage.claims.claim(order({ limits }))).map(({ id }) => id);

    expect(ids).toHaveLength(2);
    expect(ids).toContain(last.id);
  });

  it('find the jobs again whose place in the queue was lost, and forget places without a job', async () => {
    const { id } = await queued();
    await source.query(`DELETE FROM ${HAND_OUT_SCHEMA}.job`);
    expect(await storage.claims.claim(order())).toEqual([]);

    await storage.claims.handOutMissing(HERE);
    await storage.claims.handOutMissing(HERE);

    expect((await storage.claims.claim(order())).map((job) => job.id)).toEqual([id]);
    await queued();
    await source.query('TRUNCATE "job"');
    await queued();
    await storage.claims.claim(order());
    expect(await source.query(`SELECT * FROM ${HAND_OUT_SCHEMA}.job`)).toEqual([]);
  });

  it('hand jobs out as often and as long as we say, whatever the library thinks', async () => {
    const { id, lane } = await queued();
    const name = queueOf(HERE, lane);

    const [queue] = await source.query<object[]>(
      `SELECT * FROM ${HAND_OUT_SCHEMA}.queue WHERE name = $1`,
      [name],
    );
    const [entry] = await source.query<object[]>(
      `SELECT *, extract(epoch FROM keep_until - start_after)::int AS retention_seconds
       FROM ${HAND_OUT_SCHEMA}.job WHERE id = $1`,
      [id],
    );

    const expected = {
      policy: 'exclusive',
      expire_seconds: QUEUE_OPTIONS.expireInSeconds,
      retention_seconds: QUEUE_OPTIONS.retentionSeconds,
      deletion_seconds: QUEUE_OPTIONS.deleteAfterSeconds,
      retry_limit: 0,
      heartbeat_seconds: null,
    };
    expect(queue).toMatchObject(expected);
    expect(entry).toMatchObject({ ...expected, singleton_key: id, state: 'created' });
    await expect(
      storage.handOut.add(source.createQueryRunner(), {
        ...{ id: randomUUID(), queue: name, key: id, priority: 0 },
      }),
    ).rejects.toThrow('did not take the job');
  });

  it('write both the row and its place, or neither', async () => {
    const row = toStored(newJob(BACKUP, 1), BACKUP, HERE);
    await queued({ exclusiveKey: row.id });

    await expect(storage.rows.add({ ...row, exclusiveKey: row.id }, 1000)).rejects.toMatchObject({
      code: 'job.conflict',
    });
    await expect(storage.rows.add(row, 1)).rejects.toMatchObject({ code: 'job.refused' });

    const places = await source.query<{ id: string }[]>(`SELECT id FROM ${HAND_OUT_SCHEMA}.job`);
    expect(places.map(({ id }) => id)).not.toContain(row.id);
    expect(await storage.rows.get(row.id)).toBeUndefined();
  });

  it('end with their token, and not with another one or once somebody else has ended them', async () => {
    const { id, token } = await claimed();

    expect(await storage.rows.end(id, randomUUID(), { state: 'succeeded' })).toBe(false);
    const [seen] = await other.storage.claims.all();
    expect(await other.storage.claims.endStale(seen as never, INTERRUPTED)).toBe(true);

    expect(await storage.rows.end(id, token, { state: 'succeeded', result: {} })).toBe(false);
    await storage.rows.report(id, token, { phase: 'late' });
    expect(await storage.rows.get(id)).toMatchObject({ ...INTERRUPTED, progress: null });
  });

  it('are not ended by others when they were renewed after they were seen', async () => {
    const { id, token } = await claimed();
    const [seen] = await other.storage.claims.all();
    await source.query(`UPDATE "job" SET "lease_until_ms" = 77 WHERE "id" = $1`, [id]);

    expect(await other.storage.claims.endStale(seen as never, INTERRUPTED)).toBe(false);

    expect(await storage.rows.end(id, token, { state: 'succeeded' })).toBe(true);
  });

  it('are renewed while the main loop is blocked for several leases', async () => {
    const { id, token } = await claimed();
    const lease = storage.leases.hold(id, token);
    await renewed(id, 5 + SHORT_LEASES.leaseMs);

    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4 * SHORT_LEASES.leaseMs);
    const endMs = new SystemClock().nowMs();
    const row = await storage.rows.get(id);
    lease.release();

    expect(row?.leaseUntilMs).toBeGreaterThan(endMs);
  });
});

/** Resolves once a lease is no more what it was. */
async function renewed(id: string, before: number): Promise<void> {
  while ((await storage.rows.get(id))?.leaseUntilMs === before) {
    // A statement takes its time.
  }
}
