import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { UnstorableRow, type JobFilter } from '../catalog/job-rows.ts';
import { abortable } from '../kernel/waiting/abortable.ts';
import { onlyStarting } from '../kernel/text/by-prefix.ts';
import { actingAs } from '../kernel/actor.ts';
import { Fault, isFault } from '../kernel/fault.ts';
import type { Progress } from '../kernel/progress.ts';
import {
  INTERRUPTED,
  interruptedAt,
  outcomeOf,
  troubled,
  withoutDetails,
  type JobChange,
  type StopReason,
} from './job-outcome.ts';
import { JobLanes } from './job-lanes.ts';
import type { Job, JobKind, JobRequest, RunJob } from './job.ts';
import {
  liveJob,
  newJob,
  type JobsEnvironment,
  type JobsOptions,
  type JobStorage,
  type LiveJob,
} from './live-job.ts';
import { fromStored, toStored, unknownJob, UnwrittenRows } from './stored-job.ts';

/** Watchers get progress at most this often. */
const NOTIFY_MS = 250;
/** Progress is written to the row at most this often; a crash loses no more of it. */
const SAVE_MS = 2000;
const REWRITE_MS = 5000;
const END_MS_MAX = 4000;
/** More waiting jobs mean a caller out of control. */
const QUEUE_MAX = 1000;

const UUID_CHARACTERS = 36;

/**
 * Runs operations in this process, with a row for each. The row is written before the operation
 * starts, and a starting service marks the unfinished rows of an earlier one, so every accepted job
 * ends in a state that says what happened.
 */
export class Jobs {
  private readonly runners = new Map<JobKind, RunJob>();
  private readonly live = new Map<string, LiveJob>();
  private readonly changes = new EventEmitter().setMaxListeners(0);
  private readonly lanes: JobLanes<LiveJob>;
  /** Ends that could not be written yet; `get` still finds their jobs. */
  private readonly unwritten = new Map<string, JobChange>();
  private rewriting: NodeJS.Timeout | undefined;
  private readonly rowTrouble: UnwrittenRows;
  /** Jobs whose first row is being written. */
  private readonly accepting = new Set<Promise<Job>>();
  private readonly closingNow = new AbortController();
  private readonly rewriteMs: number;
  private readonly endMsMax: number;

  constructor(
    private readonly storage: JobStorage,
    private readonly environment: JobsEnvironment,
    { concurrency, rewriteMs = REWRITE_MS, endMsMax = END_MS_MAX }: JobsOptions,
  ) {
    [this.rewriteMs, this.endMsMax] = [rewriteMs, endMsMax];
    this.lanes = new JobLanes(concurrency);
    this.rowTrouble = new UnwrittenRows(environment.log);
  }

  /** Sets how jobs of a kind are carried out. Call it once per kind, before the first job. */
  register(kind: JobKind, run: RunJob): void {
    assert(!this.runners.has(kind), `${kind} is registered twice`);
    this.runners.set(kind, run);
  }

  /**
   * Marks the unfinished jobs of this host as interrupted, at the start of its service. @returns
   * their ids
   */
  async recover(): Promise<string[]> {
    const { clock, hostId } = this.environment;
    const end = { state: 'interrupted', fault: INTERRUPTED, finishedAtMs: clock.nowMs() };
    const ids = await this.storage.endUnfinished(end, hostId);
    for (const jobId of ids) {
      this.environment.log.warn('job.interrupted', { jobId });
    }
    return ids;
  }

  /**
   * Accepts a job, which runs as soon as there is room.
   * @throws Fault `job.conflict` if an unfinished job has the same exclusive key
   */
  async start(request: JobRequest): Promise<Job> {
    if (this.closingNow.signal.aborted || this.lanes.length >= QUEUE_MAX) {
      throw new Fault('job.refused', 'The service takes no more jobs now; try again later.');
    }
    const accepted = this.accept(request);
    this.accepting.add(accepted);
    try {
      return await accepted;
    } finally {
      this.accepting.delete(accepted);
    }
  }

  private async accept(request: JobRequest): Promise<Job> {
    const { clock, hostId } = this.environment;
    const job = newJob({ ...request, subject: { ...request.subject, hostId } }, clock.nowMs());
    await this.writeUnwritten();
    try {
      await this.storage.add(toStored(job, request));
    } catch (error) {
      if (!isFault(error, 'job.conflict')) {
        // The row may be there all the same, and would keep its exclusive key until the next start.
        this.unwritten.set(job.id, interruptedAt(clock.nowMs()));
        this.writeAgainLater();
      }
      throw error;
    }
    const live = liveJob(job, request);
    this.live.set(job.id, live);
    this.lanes.add(live);
    this.runNext();
    return live.job;
  }

  /**
   * Returns the job with this id, or the only one whose id begins so.
   * @throws Fault `job.unknown`, `request.invalid` if several ids begin so
   */
  async find(idOrPrefix: string): Promise<Job> {
    if (idOrPrefix.length === UUID_CHARACTERS) {
      return this.get(idOrPrefix);
    }
    const found = onlyStarting(await this.storage.starting(idOrPrefix), idOrPrefix);
    if (found === undefined) {
      throw unknownJob(idOrPrefix);
    }
    return this.get(found.id);
  }

  /** @throws Fault `job.unknown` */
  async get(id: string): Promise<Job> {
    const live = this.live.get(id);
    if (live !== undefined) {
      return live.job;
    }
    const row = await this.storage.get(id);
    if (row === undefined) {
      throw unknownJob(id);
    }
    return fromStored(row);
  }

  /** Lists jobs, newest first. */
  async list(filter: JobFilter): Promise<Job[]> {
    const rows = await this.storage.list(filter);
    return rows.map((row) => this.live.get(row.id)?.job ?? fromStored(row));
  }

  /** Asks a job to stop, and resolves when it has. A finished job stays as it is. */
  async cancel(id: string): Promise<Job> {
    const live = this.live.get(id);
    if (live !== undefined) {
      await this.stop(live, 'cancelled');
    }
    return this.get(id);
  }

  /**
   * Calls `listener` with every change of an unfinished job, the last one included; never for a job
   * that has ended. @returns a function that stops it
   */
  watch(id: string, listener: (job: Job) => void): () => void {
    this.changes.on(id, listener);
    return () => {
      this.changes.off(id, listener);
    };
  }

  /**
   * Fires when all jobs are told to stop because the service stops: they give up what they only
   * wait for.
   */
  get closing(): AbortSignal {
    return this.closingNow.signal;
  }

  /**
   * Stops every job, and resolves when all have ended and their rows say so. A job that is being
   * accepted meanwhile never runs, and ends like the others. One that does not end in time is
   * abandoned, and its row says that it was interrupted.
   */
  async close(): Promise<void> {
    this.closingNow.abort();
    clearTimeout(this.rewriting);
    const timeout = AbortSignal.timeout(this.endMsMax);
    try {
      await abortable(this.stopAll(), timeout);
    } catch (error) {
      if (!timeout.aborted) {
        throw error;
      }
      await Promise.all([...this.live.values()].map((live) => this.leave(live)));
    }
  }

  private async stopAll(): Promise<void> {
    await Promise.allSettled(this.accepting);
    await Promise.all([...this.live.values()].map((live) => this.stop(live, 'interrupted')));
  }

  private async leave({ job: { id: jobId, kind } }: LiveJob): Promise<void> {
    const { clock, log } = this.environment;
    log.error('job.not-ending', { jobId, kind });
    await this.writeEnd(jobId, interruptedAt(clock.nowMs())).catch((error: unknown) => {
      log.error('job.row-not-written', { jobId, error });
    });
  }

  private async stop(live: LiveJob, reason: StopReason): Promise<void> {
    live.stop ??= reason;
    live.abort.abort();
    if (this.lanes.remove(live)) {
      await this.end(live, outcomeOf(live.abort.signal.reason, live.stop));
    }
    await live.done;
  }

  private runNext(): void {
    if (this.closingNow.signal.aborted) {
      return;
    }
    for (let next = this.lanes.next(); next !== undefined; next = this.lanes.next()) {
      const live = next;
      // Whoever ends a job lets another one run, which is not theirs.
      live.done = actingAs(live.job.actor, () => this.run(live)).finally(() => {
        this.lanes.ended(live);
        this.runNext();
      });
    }
  }

  private async run(live: LiveJob): Promise<void> {
    const { clock, log } = this.environment;
    const { id: jobId, kind } = live.job;
    const run = this.runners.get(kind);
    assert(run !== undefined, `nobody runs ${kind} jobs`);
    this.change(live, { state: 'running', startedAtMs: clock.nowMs() });
    log.info('job.started', { jobId, kind, ...live.job.subject });
    try {
      const result = await run(live.request.parameters, {
        jobId,
        signal: live.abort.signal,
        report: (progress) => {
          this.report(live, progress);
        },
      });
      log.info('job.succeeded', { jobId, kind, result });
      await this.end(live, { state: 'succeeded', result });
    } catch (error) {
      // The job's row and the log say what happened; nobody else awaits this promise.
      const outcome = outcomeOf(error, live.stop);
      const fields = { jobId, kind, code: outcome.fault.code, error };
      if (outcome.state === 'failed') {
        log.error('job.failed', fields);
      } else {
        log.info('job.stopped', fields);
      }
      await this.end(live, outcome);
    }
  }

  /** Tells all jobs on a vault that its store went away, or is back (`undefined`). */
  tell(vaultId: string, trouble: string | undefined): void {
    for (const live of this.live.values()) {
      if (live.job.subject.vaultId === vaultId && live.job.state === 'running') {
        live.trouble = trouble;
        const { progress = { phase: 'preparing', doneBytes: 0, totalBytes: 0 } } = live.job;
        live.notifiedMs = -Infinity;
        this.report(live, progress);
      }
    }
  }

  private report(live: LiveJob, reported: Progress): void {
    const nowMs = this.environment.clock.monotonicMs();
    const phaseChanged = live.job.progress?.phase !== reported.phase;
    live.job = { ...live.job, progress: live.rate.add(troubled(reported, live.trouble), nowMs) };
    const { progress } = live.job;
    if (phaseChanged || nowMs - live.notifiedMs >= NOTIFY_MS) {
      live.notifiedMs = nowMs;
      this.changes.emit(live.job.id, live.job);
    }
    if (nowMs - live.savedMs >= SAVE_MS) {
      live.savedMs = nowMs;
      this.save(live, progress === undefined ? {} : { progress });
    }
  }

  private async end(
    live: LiveJob,
    outcome: Pick<Job, 'state' | 'fault' | 'result'>,
  ): Promise<void> {
    const progress = live.job.progress && troubled(live.job.progress, undefined);
    const end: JobChange = {
      ...outcome,
      finishedAtMs: this.environment.clock.nowMs(),
      ...(progress === undefined ? {} : { progress }),
    };
    live.job = { ...live.job, ...end };
    await live.saving;
    this.unwritten.set(live.job.id, end);
    await this.writeUnwritten();
    this.changes.emit(live.job.id, live.job);
  }

  /**
   * Writes the ends that were not written yet. One that cannot be written does not stop the others.
   */
  private async writeUnwritten(): Promise<void> {
    for (const [id, end] of this.unwritten) {
      try {
        await this.writeEnd(id, end);
      } catch (error) {
        // The operation is over, and watchers were told; the write is repeated soon.
        this.rowTrouble.tell(id, error);
        continue;
      }
      this.rowTrouble.wrote();
      this.unwritten.delete(id);
      this.live.delete(id);
    }
    this.writeAgainLater();
  }

  /** In the background: the database may be away, and no job should wait for it. */
  private writeAgainLater(): void {
    clearTimeout(this.rewriting);
    if (this.unwritten.size === 0 || this.closingNow.signal.aborted) {
      return;
    }
    this.rewriting = setTimeout(() => {
      void this.writeUnwritten();
    }, this.rewriteMs);
    this.rewriting.unref();
  }

  private async writeEnd(id: string, end: JobChange): Promise<void> {
    try {
      await this.storage.update(id, end);
    } catch (error) {
      if (!(error instanceof UnstorableRow)) {
        throw error;
      }
      this.environment.log.error('job.end-not-storable', { jobId: id, error });
      await this.storage.update(id, withoutDetails(end));
    }
  }

  private change(live: LiveJob, change: Partial<Pick<Job, 'state' | 'startedAtMs'>>): void {
    live.job = { ...live.job, ...change };
    this.save(live, change);
    this.changes.emit(live.job.id, live.job);
  }

  private save(live: LiveJob, change: JobChange): void {
    live.saving = live.saving
      .then(() => this.storage.update(live.job.id, change))
      .catch((error: unknown) => {
        // The operation goes on: the row only reports it, and its end is written again.
        this.rowTrouble.tell(live.job.id, error);
      });
  }
}
