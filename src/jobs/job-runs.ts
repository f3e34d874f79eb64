import assert from 'node:assert/strict';
import type { ClaimedJob } from '../catalog/jobs/job-claims.ts';
import type { StoredJob } from '../catalog/jobs/job-statements.ts';
import type { VaultReach } from '../catalog/jobs/vault-reach.ts';
import { actingAs } from '../kernel/actor.ts';
import { listeningForLife } from '../kernel/signs-of-life.ts';
import type { Progress } from '../kernel/progress.ts';
import type { JobEnds } from './job-ends.ts';
import { outcomeOf, troubled, type JobChange, type StopReason } from './job-outcome.ts';
import type { Job, JobKind, JobNeeds, NeedsOf, RunJob } from './job.ts';
import { liveJob, type JobsEnvironment, type JobStorage, type LiveJob } from './live-job.ts';

/** Watchers get progress at most this often. */
const NOTIFY_MS = 250;
/** Progress is written to the row at most this often; a crash loses no more of it. */
const SAVE_MS = 2000;

export interface RunParts extends JobsEnvironment {
  readonly storage: Pick<JobStorage, 'rows' | 'leases'>;
  readonly ends: JobEnds;
  readonly onChange: (job: Job) => void;
  /** A job has ended, and so does its row. */
  readonly onRoom: () => void;
}

/** Runs the jobs that this process has claimed. */
export class JobRuns {
  private readonly runners = new Map<JobKind, RunJob>();
  private readonly needs = new Map<string, NeedsOf>();
  private readonly live = new Map<string, LiveJob>();

  constructor(private readonly parts: RunParts) {}

  register(kind: JobKind, run: RunJob, needs: NeedsOf | undefined): void {
    assert(!this.runners.has(kind), `${kind} is registered twice`);
    this.runners.set(kind, run);
    if (needs !== undefined) {
      this.needs.set(kind, needs);
    }
  }

  /** Returns what a job needs, as far as its kind says so. */
  needsOf({ kind, parameters }: Pick<StoredJob, 'kind' | 'parameters'>): JobNeeds | undefined {
    return this.needs.get(kind)?.(parameters);
  }

  /** Whether this host should run a job that any may. */
  fits(job: Pick<StoredJob, 'kind' | 'parameters'>, reach: Pick<VaultReach, 'isFor'>): boolean {
    const needs = this.needsOf(job);
    const isKnown = this.runners.has(job.kind as JobKind);
    return (
      isKnown &&
      (needs === undefined || !('vaults' in needs) || reach.isFor(needs.vaults, needs.isSteady))
    );
  }

  get(id: string): LiveJob | undefined {
    return this.live.get(id);
  }

  all(): LiveJob[] {
    return [...this.live.values()];
  }

  /** Begins a job. Its row says already that it runs. */
  begin(claimed: ClaimedJob): void {
    const lease = this.parts.storage.leases.hold(claimed.id, claimed.token);
    const live = liveJob(claimed, lease);
    this.live.set(claimed.id, live);
    this.parts.onChange(live.job);
    // Whoever lets it begin has another actor.
    live.done = actingAs(live.job.actor, () => listeningForLife(lease.sign, () => this.run(live)));
  }

  /** Tells a job to end, and resolves when it has and its row says so. */
  async stop(live: LiveJob, reason: StopReason): Promise<void> {
    live.stop ??= reason;
    live.abort.abort();
    await live.done;
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

  /** Says for jobs that wait for what is known to be away that they do not stand still. */
  signForTroubled(): void {
    for (const { trouble, lease } of this.live.values()) {
      if (trouble !== undefined) {
        lease.sign();
      }
    }
  }

  private async run(live: LiveJob): Promise<void> {
    const { log } = this.parts;
    const { id: jobId, kind } = live.job;
    const run = this.runners.get(kind);
    assert(run !== undefined, `nobody runs ${kind} jobs`);
    log.info('job.started', { jobId, kind, ...live.job.subject });
    try {
      const result = await run(live.parameters, {
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

  private report(live: LiveJob, reported: Progress): void {
    const nowMs = this.parts.clock.monotonicMs();
    live.lease.sign();
    const phaseChanged = live.job.progress?.phase !== reported.phase;
    live.job = { ...live.job, progress: live.rate.add(troubled(reported, live.trouble), nowMs) };
    const { progress } = live.job;
    if (phaseChanged || nowMs - live.notifiedMs >= NOTIFY_MS) {
      live.notifiedMs = nowMs;
      this.parts.onChange(live.job);
    }
    if (nowMs - live.savedMs >= SAVE_MS) {
      live.savedMs = nowMs;
      this.save(live, progress);
    }
  }

  private save(live: LiveJob, progress: Job['progress']): void {
    const { storage, ends } = this.parts;
    const { id } = live.job;
    live.saving = live.saving
      .then(() => storage.rows.report(id, live.token, progress))
      .catch((error: unknown) => {
        // The operation goes on: the row only reports it, and its end is written again.
        ends.trouble.tell(id, error);
      });
  }

  /** @param outcome an end of the job */
  private async end(live: LiveJob, outcome: JobChange): Promise<void> {
    const { progress: last } = live.job;
    const progress = last && troubled(last, undefined);
    const end: JobChange = {
      ...outcome,
      finishedAtMs: this.parts.clock.nowMs(),
      ...(progress === undefined ? {} : { progress }),
    };
    await live.saving;
    // From now on its end is shown and waits to be written: whoever starts the next job writes it.
    live.job = { ...live.job, ...end };
    await this.parts.ends.write(live.job.id, live.token, end, () => {
      live.lease.release();
      this.live.delete(live.job.id);
      this.parts.onRoom();
    });
    this.parts.onChange(live.job);
  }
}
