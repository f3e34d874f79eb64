import type { JobFilter } from '../catalog/jobs/job-rows.ts';
import { Fault, isFault } from '../kernel/fault.ts';
import { onlyStarting } from '../kernel/text/by-prefix.ts';
import { abortable } from '../kernel/waiting/abortable.ts';
import { JobEnds } from './job-ends.ts';
import { cancelledAt, interruptedAt } from './job-outcome.ts';
import { JobReaper } from './job-reaper.ts';
import { JobRuns } from './job-runs.ts';
import { JobTaking } from './job-taking.ts';
import { JobWatching } from './job-watching.ts';
import {
  isFinished,
  type Job,
  type JobKind,
  type JobRequest,
  type NeedsOf,
  type RunJob,
} from './job.ts';
import {
  newJob,
  type JobsEnvironment,
  type JobsOptions,
  type JobStorage,
  type LiveJob,
} from './live-job.ts';
import { StrandedJobs } from './stranded-jobs.ts';
import { fromStored, toStored, unknownJob } from './stored-job.ts';

const REWRITE_MS = 5000;
const END_MS_MAX = 4000;
/** How often to look at what other services do, beside their news. */
const POLLS_A_LEASE = 3;
/** A host that starts again is there by then. */
const PATIENCE_MS = 180_000;
/** More waiting jobs mean a caller out of control. */
const QUEUE_MAX = 1000;

const UUID_CHARACTERS = 36;

/**
 * Operations as jobs with a row each, for any number of services on one database. The row is
 * written before anything happens. A job runs where it is claimed: in a service of the host that it
 * belongs to, as soon as there is room, also after a restart. Every accepted job ends in a state
 * that says what happened; one whose service is gone is ended by another, or by the next start.
 */
export class Jobs {
  private readonly runs: JobRuns;
  private readonly ends: JobEnds;
  private readonly taking: JobTaking;
  private readonly reaper: JobReaper;
  private readonly stranded: StrandedJobs;
  private readonly watching: JobWatching;
  /** Jobs whose first row is being written. */
  private readonly accepting = new Set<Promise<Job>>();
  private looking: Promise<void> | undefined;
  private readonly closingNow = new AbortController();
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly endMsMax: number;
  private readonly pollMs: number;

  constructor(
    private readonly storage: JobStorage,
    private readonly environment: JobsEnvironment,
    options: JobsOptions,
  ) {
    const { rows, claims } = storage;
    const { rewriteMs = REWRITE_MS, endMsMax = END_MS_MAX, patienceMs = PATIENCE_MS } = options;
    const pollMs = Math.ceil(storage.leases.terms.leaseMs / POLLS_A_LEASE);
    this.endMsMax = endMsMax;
    this.pollMs = pollMs;
    this.ends = new JobEnds(rows, environment.log, rewriteMs);
    this.watching = new JobWatching(rows, () => this.runs);
    this.runs = new JobRuns({
      ...environment,
      storage,
      ends: this.ends,
      onChange: (job) => {
        this.watching.tell(job);
      },
      onRoom: () => {
        this.taking.ring();
      },
    });
    this.taking = new JobTaking(storage, this.runs, environment, options);
    this.reaper = new JobReaper(claims, this.runs, environment, pollMs);
    this.stranded = new StrandedJobs(storage, this.runs, environment, patienceMs);
  }

  /**
   * Sets how jobs of a kind are carried out. Call it once per kind, before the first job.
   *
   * @param needs default: each runs on its own host only
   */
  register(kind: JobKind, run: RunJob, needs?: NeedsOf): void {
    this.runs.register(kind, run, needs);
  }

  /**
   * Marks what an earlier service of this host ran as interrupted, at the start. What waits, waits
   * on. @returns the ids
   */
  async recover(): Promise<string[]> {
    const { hostId, clock, log } = this.environment;
    const ids = await this.storage.claims.endClaimsOf(hostId, interruptedAt(clock.nowMs()));
    for (const jobId of ids) {
      log.warn('job.interrupted', { jobId });
    }
    await this.storage.claims.handOutMissing(hostId);
    return ids;
  }

  /** Begins to run jobs, and to look after those of services that are gone. */
  begin(): void {
    this.storage.leases.listen({
      onLost: (id) => {
        this.giveUp(id, 'job.claim-lost');
      },
      onStuck: (id) => {
        this.giveUp(id, 'job.stands-still');
      },
      onCancel: (id) => {
        this.stopHere(id);
      },
    });
    this.storage.signals.listen({
      onNews: (news, id) => {
        if (news === 'cancel') {
          this.stopHere(id);
          return;
        }
        if (news !== 'claimed') {
          this.taking.ring();
        }
        this.watching.changed(id);
      },
      onGap: () => {
        this.taking.ring();
      },
    });
    this.every(this.storage.leases.terms.renewMs, () => {
      this.runs.signForTroubled();
    });
    this.every(this.pollMs, () => {
      this.taking.ring();
      this.lookAround();
    });
    this.lookAround();
    this.taking.open();
  }

  private every(ms: number, work: () => void): void {
    this.timers.push(setInterval(work, ms).unref());
  }

  /** One look at a time: a database may take longer to answer than the time to the next one. */
  private lookAround(): void {
    this.looking ??= this.lookAroundOnce().finally(() => {
      this.looking = undefined;
    });
  }

  private async lookAroundOnce(): Promise<void> {
    try {
      await this.reaper.look();
      await this.stranded.look();
    } catch (error) {
      if (!isFault(error, 'database.unavailable')) {
        this.environment.log.error('job.not-looked-around', { error });
      }
    }
  }

  private giveUp(jobId: string, event: string): void {
    const live = this.runs.get(jobId);
    if (live !== undefined && !isFinished(live.job)) {
      this.environment.log.error(event, { jobId, kind: live.job.kind });
      void this.runs.stop(live, 'interrupted');
    }
  }

  private stopHere(id: string): void {
    const live = this.runs.get(id);
    if (live !== undefined) {
      void this.runs.stop(live, 'cancelled');
    }
  }

  /**
   * Accepts a job, which runs as soon as there is room.
   * @throws Fault `job.conflict` if an unfinished job has the same exclusive key
   */
  async start(request: JobRequest): Promise<Job> {
    if (this.closing.aborted) {
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
    const job = newJob(request, clock.nowMs());
    await this.ends.writeAll();
    const place = request.place ?? (await this.placeOf(request));
    try {
      await this.storage.rows.add(toStored(job, { ...request, place }, hostId), QUEUE_MAX);
    } catch (error) {
      if (!isFault(error, 'job.conflict') && !isFault(error, 'job.refused')) {
        // The row may be there all the same, and would run though its caller knows nothing of it.
        this.ends.writeNever(job.id, interruptedAt(clock.nowMs()));
      }
      throw error;
    }
    this.taking.ring();
    return job;
  }

  /** @throws Fault if no host has what it needs */
  private async placeOf(request: JobRequest): Promise<NonNullable<JobRequest['place']>> {
    const needs = this.runs.needsOf(request);
    if (needs === undefined || !('vaults' in needs)) {
      return { hostId: this.environment.hostId };
    }
    const problem = (await this.storage.vaults.look()).problem(needs.vaults);
    if (problem !== undefined) {
      throw problem;
    }
    return 'any-host';
  }

  /**
   * Returns the job with this id, or the only one whose id begins so.
   * @throws Fault `job.unknown`, `request.invalid` if several ids begin so
   */
  async find(idOrPrefix: string): Promise<Job> {
    if (idOrPrefix.length === UUID_CHARACTERS) {
      return this.get(idOrPrefix);
    }
    const found = onlyStarting(await this.storage.rows.starting(idOrPrefix), idOrPrefix);
    if (found === undefined) {
      throw unknownJob(idOrPrefix);
    }
    return this.get(found.id);
  }

  /** @throws Fault `job.unknown` */
  async get(id: string): Promise<Job> {
    const live = this.runs.get(id);
    if (live !== undefined) {
      return live.job;
    }
    const row = await this.storage.rows.get(id);
    if (row === undefined) {
      throw unknownJob(id);
    }
    return fromStored(row);
  }

  /** Lists jobs, newest first. */
  async list(filter: JobFilter): Promise<Job[]> {
    const rows = await this.storage.rows.list(filter);
    return rows.map((row) => this.runs.get(row.id)?.job ?? fromStored(row));
  }

  /**
   * Asks a job to stop, and resolves when it has; of a job on another host, when it has or its
   * service has had time for it. A finished job stays as it is.
   */
  async cancel(id: string): Promise<Job> {
    const { clock } = this.environment;
    for (;;) {
      const live = this.runs.get(id);
      if (live !== undefined) {
        await this.runs.stop(live, 'cancelled');
        return live.job;
      }
      const job = await this.get(id);
      if (isFinished(job)) {
        return job;
      }
      if (job.state === 'running') {
        return this.cancelElsewhere(id);
      }
      if (await this.storage.rows.endQueued(id, cancelledAt(clock.nowMs()))) {
        this.watching.changed(id);
        return this.get(id);
      }
    }
  }

  private async cancelElsewhere(id: string): Promise<Job> {
    const ended = Promise.withResolvers<undefined>();
    const stop = this.watch(id, (job) => {
      if (isFinished(job)) {
        ended.resolve(undefined);
      }
    });
    try {
      await this.storage.rows.requestCancel(id);
      const patience = AbortSignal.timeout(2 * this.storage.leases.terms.leaseMs);
      await abortable(ended.promise, AbortSignal.any([patience, this.closing])).catch(
        () => undefined,
      );
    } finally {
      stop();
    }
    return this.get(id);
  }

  /**
   * Calls `listener` with every change of an unfinished job, the last one included: at once if it
   * runs here, else soon. @returns a function that stops it
   */
  watch(id: string, listener: (job: Job) => void): () => void {
    return this.watching.watch(id, listener);
  }

  /** Tells all jobs on a vault that its store went away, or is back (`undefined`). */
  tell(vaultId: string, trouble: string | undefined): void {
    this.runs.tell(vaultId, trouble);
  }

  /**
   * Fires when all jobs are told to stop because the service stops: they give up what they only
   * wait for.
   */
  get closing(): AbortSignal {
    return this.closingNow.signal;
  }

  /**
   * Stops every job that runs, and resolves when all have ended and their rows say so. What waits,
   * waits for the next start. A job that does not end in time is abandoned, and its row says that
   * it was interrupted.
   */
  async close(): Promise<void> {
    this.closingNow.abort();
    this.ends.close();
    this.watching.close();
    for (const timer of this.timers) {
      clearInterval(timer);
    }
    const taken = this.taking.close();
    const timeout = AbortSignal.timeout(this.endMsMax);
    try {
      await abortable(this.stopAll(taken), timeout);
    } catch (error) {
      if (!timeout.aborted) {
        throw error;
      }
      await Promise.all(this.runs.all().map((live) => this.leave(live)));
    }
  }

  private async stopAll(taken: Promise<void>): Promise<void> {
    await Promise.allSettled([...this.accepting, taken, this.looking]);
    await Promise.all(this.runs.all().map((live) => this.runs.stop(live, 'interrupted')));
  }

  private async leave({ job: { id: jobId, kind }, token }: LiveJob): Promise<void> {
    const { clock, log } = this.environment;
    log.error('job.not-ending', { jobId, kind });
    await this.storage.rows
      .end(jobId, token, interruptedAt(clock.nowMs()))
      .catch((error: unknown) => {
        log.error('job.row-not-written', { jobId, error });
      });
  }
}
