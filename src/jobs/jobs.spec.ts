import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { JobsInMemory } from '../../test/support/jobs/jobs-in-memory.ts';
import { SystemClock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { SilentLog } from '../kernel/log.ts';
import type { Job, JobRequest, JobRun } from './job.ts';
import { Jobs } from './jobs.ts';

const isOpen = (state: string) => state === 'queued' || state === 'running';
const BACKUP = { kind: 'backup', subject: { vmName: 'web' }, parameters: {} } as const;

function jobsOn(storage: JobsInMemory, concurrency: number): Jobs {
  const environment = { hostId: 'host-1', clock: new SystemClock(), log: new SilentLog() };
  return new Jobs(storage.storage, environment, { concurrency, rewriteMs: 20, endMsMax: 200 });
}

/** Makes jobs whose runs end when the test says so: `finish(jobId)`. Each can be aborted. */
function setUp(concurrency = 2) {
  const storage = new JobsInMemory();
  const jobs = jobsOn(storage, concurrency);
  jobs.begin();
  const runs = new EventEmitter();
  jobs.register('backup', async (_, { jobId, signal }) => {
    const [result] = (await once(runs, jobId, { signal })) as [object | Error];
    if (result instanceof Error) {
      throw result;
    }
    return result;
  });
  /** Ends a run as soon as it has begun. */
  const finish = (id: string, result: object | Error = { stored: 1 }) => {
    void storage.updated(id, 'running').then(() => {
      setImmediate(() => runs.emit(id, result));
    });
  };
  const running = async (change: Partial<JobRequest> = {}) => {
    const started = await jobs.start({ ...BACKUP, ...change });
    await storage.updated(started.id, 'running');
    await new Promise(setImmediate);
    return started;
  };
  return { storage, jobs, finish, running };
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

  it('shows no end before the key is free for the next job', async () => {
    const { storage, jobs } = setUp();
    const [reporting, reported] = [
      Promise.withResolvers<undefined>(),
      Promise.withResolvers<undefined>(),
    ];
    storage.beforeReport = async () => {
      reporting.resolve(undefined);
      await reported.promise;
    };
    jobs.register('prune', async (_, { report }) => {
      report({ phase: 'removing', doneBytes: 0, totalBytes: 0 });
      await reporting.promise;
      return {};
    });
    const request = { ...BACKUP, kind: 'prune', exclusiveKey: 'prune v' } as const;
    const { id } = await jobs.start(request);
    const end = ended(jobs, id);
    await reporting.promise;
    await new Promise(setImmediate);

    expect(await jobs.get(id)).toMatchObject({ state: 'running' });
    reported.resolve(undefined);
    expect(await end).toMatchObject({ state: 'succeeded' });
    expect(await jobs.start(request)).toMatchObject({ kind: 'prune' });
  });

  it('frees the key of a job whose row was written though the answer was lost', async () => {
    const { storage, jobs } = setUp();
    const request = { ...BACKUP, id: randomUUID(), exclusiveKey: 'backup web' };
    storage.afterAdd = async () => {
      throw new Fault('database.unavailable', 'gone');
    };
    await expect(jobs.start(request)).rejects.toMatchObject({ code: 'database.unavailable' });
    storage.afterAdd = async () => undefined;

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
    const { storage, jobs, finish } = setUp(1);
    const first = await jobs.start(BACKUP);
    const second = await jobs.start(BACKUP);
    expect((await jobs.get(second.id)).state).toBe('queued');

    const end = ended(jobs, first.id);
    finish(first.id);
    await end;
    await storage.updated(second.id, 'running');

    await jobs.close();
  });

  it('cancels a running job and says so', async () => {
    const { jobs, running } = setUp();
    const { id } = await running();

    const job = await jobs.cancel(id);

    expect(job).toMatchObject({ state: 'cancelled', fault: { code: 'cancelled' } });
  });

  it('cancels a waiting job without ever starting it', async () => {
    const { jobs, running } = setUp(1);
    await running();
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
    const { jobs, running } = setUp();
    jobs.register('verify', async (_, { signal }: JobRun) => {
      await once(signal, 'abort');
      throw new Fault('secret.unreadable', 'damaged');
    });
    const { id } = await running({ kind: 'verify' });

    expect(await jobs.cancel(id)).toMatchObject({
      state: 'failed',
      fault: { code: 'secret.unreadable' },
    });
  });

  it('marks what an earlier process ran, and lets wait what waits', async () => {
    const { jobs, storage, running } = setUp(1);
    const { id } = await running();
    const waiting = await jobs.start(BACKUP);
    const next = jobsOn(storage, 1);

    expect(await next.recover()).toEqual([id]);

    expect(await next.get(id)).toMatchObject({
      state: 'interrupted',
      fault: { code: 'job.interrupted' },
    });
    expect((await next.get(waiting.id)).state).toBe('queued');
    await jobs.close();
  });

  it('stops every job that runs when it closes, and takes no more', async () => {
    const { jobs, storage, running } = setUp(1);
    await running();
    await jobs.start(BACKUP);

    await jobs.close();

    expect([...storage.rows.values()].map(({ state }) => state)).toEqual(['interrupted', 'queued']);
    await expect(jobs.start(BACKUP)).rejects.toMatchObject({ code: 'job.refused' });
  });

  it('gives a job up whose claim somebody else has ended, and leaves its row alone', async () => {
    const { jobs, storage, running } = setUp();
    const { id } = await running();
    for (const row of storage.rows.values()) {
      storage.rows.set(id, { ...row, state: 'failed', token: 'other' });
    }
    const end = ended(jobs, id);

    storage.listener?.onLost(id);

    await end;
    expect(storage.rows.get(id)?.state).toBe('failed');
    await jobs.close();
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
    const { jobs, storage, finish, running } = setUp();
    const { id } = await jobs.start(BACKUP);
    const end = ended(jobs, id);
    storage.broken = true;
    finish(id);
    await end;

    const next = await running({ subject: { vmName: 'db' } });

    expect((await jobs.get(next.id)).state).toBe('running');
    expect((await jobs.get(id)).state).toBe('succeeded');
    storage.broken = false;
    await jobs.close();
    expect(storage.rows.get(id)?.state).toBe('succeeded');
  });

  it('shows with its progress that the store of a job is away, until it is back', async () => {
    const { jobs, finish, running } = setUp();
    const { id } = await running({ subject: { vmName: 'web', vaultId: 'v' } });
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
    const { jobs, storage, running } = setUp();
    const stuck = Promise.withResolvers<object>();
    jobs.register('scrub', async () => stuck.promise);
    const { id } = await running({ kind: 'scrub' });

    await jobs.close();

    expect(storage.rows.get(id)).toMatchObject({
      state: 'interrupted',
      fault: { code: 'job.interrupted' },
    });
    stuck.resolve({});
  });

  it('tells what jobs wait for that they are to end', async () => {
    const { jobs, storage, running } = setUp();
    jobs.register('scrub', async () => once(jobs.closing, 'abort'));
    const { id } = await running({ kind: 'scrub' });

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
    expect(storage.rows.get(id)?.state).toBe('queued');
  });

  it('does not know a job that never was', async () => {
    const { jobs } = setUp();

    await expect(jobs.get('nope')).rejects.toMatchObject({ code: 'job.unknown' });
  });

  it('tells watchers of progress with a rate', async () => {
    const { jobs, running } = setUp();
    jobs.register('restore', async (_, { report, signal }) => {
      report({ phase: 'writing', doneBytes: 5, totalBytes: 10 });
      return (await once(signal, 'abort')) as object;
    });
    const { id } = await running({ kind: 'restore' });

    expect((await jobs.get(id)).progress).toEqual({
      phase: 'writing',
      doneBytes: 5,
      totalBytes: 10,
      rateBytesPerSecond: 0,
    });
    await jobs.close();
  });
});
