import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { UnstorableRow, type StoredJob } from '../catalog/job-rows.ts';
import { SystemClock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { SilentLog } from '../kernel/log.ts';
import type { Job, JobRun } from './job.ts';
import { Jobs } from './jobs.ts';
import type { JobStorage } from './live-job.ts';

/** Rows in memory, with the unique index of the table. */
class JobsInMemory implements JobStorage {
  readonly rows = new Map<string, StoredJob>();
  readonly changes = new EventEmitter();
  broken = false;
  /** Ids whose results and faults the database does not accept. */
  readonly unstorable = new Set<string>();
  /** An INSERT waits for this. */
  beforeAdd = async (): Promise<void> => undefined;

  async add(job: StoredJob): Promise<void> {
    await this.beforeAdd();
    const unfinished = [...this.rows.values()].filter(({ state }) => isOpen(state));
    if (
      job.exclusiveKey !== null &&
      unfinished.some(({ exclusiveKey }) => exclusiveKey === job.exclusiveKey)
    ) {
      throw new Fault('job.conflict', 'busy');
    }
    this.rows.set(job.id, job);
  }

  async starting(prefix: string): Promise<StoredJob[]> {
    return [...this.rows.values()].filter(({ id }) => id.startsWith(prefix)).slice(0, 2);
  }

  async update(id: string, change: Partial<StoredJob>): Promise<void> {
    if (this.broken) {
      throw new Error('no database');
    }
    if (this.unstorable.has(id) && (change.result !== undefined || change.fault !== undefined)) {
      throw new UnstorableRow(id);
    }
    const row = this.rows.get(id);
    if (row !== undefined) {
      this.rows.set(id, { ...row, ...change });
      this.changes.emit('update');
    }
  }

  async get(id: string): Promise<StoredJob | undefined> {
    return this.rows.get(id);
  }

  /** Resolves when the row has this state. */
  async updated(id: string, state: string): Promise<void> {
    while (this.rows.get(id)?.state !== state) {
      await once(this.changes, 'update');
    }
  }

  async list(): Promise<StoredJob[]> {
    return [...this.rows.values()].reverse();
  }

  async endUnfinished(
    { state, fault, finishedAtMs }: Pick<StoredJob, 'state' | 'fault' | 'finishedAtMs'>,
    hostId: string,
  ): Promise<string[]> {
    const open = [...this.rows.values()].filter(
      (row) => isOpen(row.state) && row.subject['hostId'] === hostId,
    );
    for (const row of open) {
      this.rows.set(row.id, { ...row, state, fault, finishedAtMs });
    }
    return open.map(({ id }) => id);
  }
}

const isOpen = (state: string) => state === 'queued' || state === 'running';
const BACKUP = { kind: 'backup', subject: { vmName: 'web' }, parameters: {} } as const;

/** Makes jobs whose runs end when the test says so: `finish(jobId)`. Each can be aborted. */
function setUp(concurrency = 2) {
  const storage = new JobsInMemory();
  const jobs = new Jobs(
    storage,
    { clock: new SystemClock(), log: new SilentLog(), hostId: 'here' },
    { concurrency, rewriteMs: 20, endMsMax: 200 },
  );
  const runs = new EventEmitter();
  jobs.register('backup', async (_, { jobId, signal }) => {
    const [result] = (await once(runs, jobId, { signal })) as [object | Error];
    if (result instanceof Error) {
      throw result;
    }
    return result;
  });
  const finish = (id: string, result: object | Error = { stored: 1 }) => runs.emit(id, result);
  return { storage, jobs, finish };
}

async function ended(jobs: Jobs, id: string): Promise<Job> {
  return new Promise((resolve) => {
    const stop = jobs.watch(id, (job) => {
      if (!isOpen(job.state)) {
        stop();
        resolve(job);
      }
    });
  });
}

describe('Jobs', () => {
  it('keeps the result of a job that succeeded', async () => {
    const { jobs, finish } = setUp();
    const { id } = await jobs.start(BACKUP);
    const end = ended(jobs, id);

    finish(id, { stored: 42 });

    expect(await end).toMatchObject({ state: 'succeeded', result: { stored: 42 } });
    expect(await jobs.get(id)).toMatchObject({ state: 'succeeded', result: { stored: 42 } });
  });

  it('frees the key of a job whose row was written though the answer was lost', async () => {
    const { storage, jobs } = setUp();
    const add = storage.add.bind(storage);
    const request = { ...BACKUP, id: randomUUID(), exclusiveKey: 'backup web' };
    storage.add = async (job) => {
      await add(job);
      throw new Fault('database.unavailable', 'gone');
    };
    await expect(jobs.start(request)).rejects.toMatchObject({ code: 'database.unavailable' });
    storage.add = add;

    await storage.updated(request.id, 'interrupted');
    expect((await jobs.start({ ...request, id: randomUUID() })).state).not.toBe('interrupted');
  });

  it('keeps the code, the message and the facts of a fault', async () => {
    const { jobs, finish } = setUp();
    const { id } = await jobs.start(BACKUP);
    const end = ended(jobs, id);

    finish(id, new Fault('store.full', 'The vault is full.', { location: '/v' }));

    expect(await end).toMatchObject({
      state: 'failed',
      fault: { code: 'store.full', message: 'The vault is full.', context: { location: '/v' } },
    });
  });

  it('shows nothing of a bug but that it is one', async () => {
    const { jobs, finish } = setUp();
    const { id } = await jobs.start(BACKUP);
    const end = ended(jobs, id);

    finish(id, new TypeError('secret of undefined'));

    const job = await end;
    expect(job.fault?.code).toBe('internal');
    expect(JSON.stringify(job)).not.toContain('secret');
  });

  it('refuses a second job with the same exclusive key until the first has ended', async () => {
    const { jobs, finish } = setUp();
    const first = await jobs.start({ ...BACKUP, exclusiveKey: 'backup web' });

    await expect(jobs.start({ ...BACKUP, exclusiveKey: 'backup web' })).rejects.toMatchObject({
      code: 'job.conflict',
    });
    const end = ended(jobs, first.id);
    finish(first.id);
    await end;
    const second = await jobs.start({ ...BACKUP, exclusiveKey: 'backup web' });

    expect(second.id).not.toBe(first.id);
    await jobs.close();
  });

  it('runs no more at once than it may, and the others in order', async () => {
    const { jobs, finish } = setUp(1);
    const first = await jobs.start(BACKUP);
    const second = await jobs.start(BACKUP);
    expect((await jobs.get(second.id)).state).toBe('queued');

    const end = ended(jobs, first.id);
    const started = new Promise<Job>((resolve) => jobs.watch(second.id, resolve));
    finish(first.id);
    await end;

    expect((await started).state).toBe('running');
    await jobs.close();
  });

  it('cancels a running job and says so', async () => {
    const { jobs } = setUp();
    const { id } = await jobs.start(BACKUP);

    const job = await jobs.cancel(id);

    expect(job).toMatchObject({ state: 'cancelled', fault: { code: 'cancelled' } });
  });

  it('cancels a waiting job without ever starting it', async () => {
    const { jobs } = setUp(1);
    await jobs.start(BACKUP);
    const { id } = await jobs.start(BACKUP);

    const job = await jobs.cancel(id);

    expect(job.state).toBe('cancelled');
    expect(job.startedAtMs).toBeUndefined();
    await jobs.close();
  });

  it('leaves a finished job as it is when it is cancelled', async () => {
    const { jobs, finish } = setUp();
    const { id } = await jobs.start(BACKUP);
    const end = ended(jobs, id);
    finish(id);
    await end;

    expect((await jobs.cancel(id)).state).toBe('succeeded');
  });

  it('tells damage even when the job was being cancelled', async () => {
    const { jobs } = setUp();
    jobs.register('verify', async (_, { signal }: JobRun) => {
      await once(signal, 'abort');
      throw new Fault('secret.unreadable', 'damaged');
    });
    const { id } = await jobs.start({ ...BACKUP, kind: 'verify' });

    expect(await jobs.cancel(id)).toMatchObject({
      state: 'failed',
      fault: { code: 'secret.unreadable' },
    });
  });

  it('marks what an earlier process left unfinished', async () => {
    const { jobs, storage } = setUp();
    const { id } = await jobs.start(BACKUP);
    const next = new Jobs(
      storage,
      { clock: new SystemClock(), log: new SilentLog(), hostId: 'here' },
      { concurrency: 1 },
    );

    expect(await next.recover()).toEqual([id]);

    expect(await next.get(id)).toMatchObject({
      state: 'interrupted',
      fault: { code: 'job.interrupted' },
    });
    await jobs.close();
  });

  it('stops every job when it closes, and takes no more', async () => {
    const { jobs, storage } = setUp(1);
    await jobs.start(BACKUP);
    await jobs.start(BACKUP);

    await jobs.close();

    expect([...storage.rows.values()].map(({ state }) => state)).toEqual([
      'interrupted',
      'interrupted',
    ]);
    await expect(jobs.start(BACKUP)).rejects.toMatchObject({ code: 'job.refused' });
  });

  it('finishes a job although its row cannot be written', async () => {
    const { jobs, storage, finish } = setUp();
    const { id } = await jobs.start(BACKUP);
    const end = ended(jobs, id);
    storage.broken = true;

    finish(id);

    expect((await end).state).toBe('succeeded');
    expect((await jobs.get(id)).state).toBe('succeeded');
  });

  it('writes the row of an ended job before the next job when it could not at once', async () => {
    const { jobs, storage, finish } = setUp();
    const { id } = await jobs.start({ ...BACKUP, exclusiveKey: 'backup web' });
    const end = ended(jobs, id);
    storage.broken = true;
    finish(id);
    await end;
    storage.broken = false;

    await jobs.start({ ...BACKUP, exclusiveKey: 'backup web' });

    expect(storage.rows.get(id)?.state).toBe('succeeded');
    await jobs.close();
  });

  it('writes the row of an ended job by itself once the database takes it', async () => {
    const { jobs, storage, finish } = setUp();
    const { id } = await jobs.start(BACKUP);
    const end = ended(jobs, id);
    storage.broken = true;
    finish(id);
    await end;

    storage.broken = false;

    await storage.updated(id, 'succeeded');
    await jobs.close();
  });

  it('writes the end of a job without its result when the database does not take that', async () => {
    const { jobs, storage, finish } = setUp();
    const { id } = await jobs.start({ ...BACKUP, exclusiveKey: 'backup web' });
    storage.unstorable.add(id);
    const end = ended(jobs, id);

    finish(id, { note: 'unstorable' });

    expect(await end).toMatchObject({ state: 'succeeded', result: { note: 'unstorable' } });
    expect(storage.rows.get(id)).toMatchObject({ state: 'succeeded', result: null });
    await jobs.start({ ...BACKUP, exclusiveKey: 'backup web' });
    await jobs.close();
  });

  it('starts other jobs while the end of one cannot be written', async () => {
    const { jobs, storage, finish } = setUp();
    const { id } = await jobs.start(BACKUP);
    const end = ended(jobs, id);
    storage.broken = true;
    finish(id);
    await end;

    const next = await jobs.start({ ...BACKUP, subject: { vmName: 'db' } });

    expect((await jobs.get(next.id)).state).toBe('running');
    expect((await jobs.get(id)).state).toBe('succeeded');
    storage.broken = false;
    await jobs.close();
    expect(storage.rows.get(id)?.state).toBe('succeeded');
  });

  it('shows with its progress that the store of a job is away, until it is back', async () => {
    const { jobs, finish } = setUp();
    const { id } = await jobs.start({ ...BACKUP, subject: { vmName: 'web', vaultId: 'v' } });
    const shown: (string | undefined)[] = [];
    jobs.watch(id, ({ progress }) => shown.push(progress?.trouble));

    jobs.tell('other', 'elsewhere');
    jobs.tell('v', 'does not answer');
    jobs.tell('v', undefined);
    jobs.tell('v', 'does not answer');
    const end = ended(jobs, id);
    finish(id);

    expect((await end).progress).not.toHaveProperty('trouble');
    expect(shown).toEqual(['does not answer', undefined, 'does not answer', undefined]);
    await jobs.close();
  });

  it('leaves a job alone that does not end, and says that it was interrupted', async () => {
    const { jobs, storage } = setUp();
    const stuck = Promise.withResolvers<object>();
    jobs.register('scrub', async () => stuck.promise);
    const { id } = await jobs.start({ ...BACKUP, kind: 'scrub' });

    await jobs.close();

    expect(storage.rows.get(id)).toMatchObject({
      state: 'interrupted',
      fault: { code: 'job.interrupted' },
    });
    stuck.resolve({});
  });

  it('tells what jobs wait for that they are to end', async () => {
    const { jobs, storage } = setUp();
    jobs.register('scrub', async () => once(jobs.closing, 'abort'));
    const { id } = await jobs.start({ ...BACKUP, kind: 'scrub' });

    await jobs.close();

    expect(storage.rows.get(id)).toMatchObject({ state: 'succeeded' });
  });

  it('never runs a job that is accepted while it closes', async () => {
    const { jobs, storage } = setUp();
    const ran: string[] = [];
    jobs.register('scrub', async (_, { jobId }) => {
      ran.push(jobId);
      return {};
    });
    const insert = Promise.withResolvers<undefined>();
    storage.beforeAdd = async () => insert.promise;
    const starting = jobs.start({ ...BACKUP, kind: 'scrub' });

    const closing = jobs.close();
    insert.resolve(undefined);
    const { id } = await starting;
    await closing;

    expect(ran).toEqual([]);
    expect(storage.rows.get(id)).toMatchObject({
      state: 'interrupted',
      fault: { code: 'job.interrupted' },
    });
  });

  it('does not know a job that never was', async () => {
    const { jobs } = setUp();

    await expect(jobs.get('nope')).rejects.toMatchObject({ code: 'job.unknown' });
  });

  it('tells watchers of progress with a rate', async () => {
    const { jobs } = setUp();
    jobs.register('restore', async (_, { report, signal }) => {
      report({ phase: 'writing', doneBytes: 5, totalBytes: 10 });
      return (await once(signal, 'abort')) as object;
    });
    const { id } = await jobs.start({ ...BACKUP, kind: 'restore' });

    expect((await jobs.get(id)).progress).toEqual({
      phase: 'writing',
      doneBytes: 5,
      totalBytes: 10,
      rateBytesPerSecond: 0,
    });
    await jobs.close();
  });
});
