import { randomUUID } from 'node:crypto';
import type { JobRows } from '../catalog/job-rows.ts';
import { currentActor } from '../kernel/actor.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { StopReason } from './job-outcome.ts';
import type { Job, JobRequest } from './job.ts';
import { ProgressRate } from './progress-rate.ts';

/** A job of this process that has not ended. */
export interface LiveJob {
  job: Job;
  readonly request: JobRequest;
  readonly abort: AbortController;
  readonly rate: ProgressRate;
  stop?: StopReason;
  /** Why it makes no progress now. */
  trouble?: string | undefined;
  notifiedMs: number;
  savedMs: number;
  /** Writes to the row, one after the other. */
  saving: Promise<void>;
  done?: Promise<void>;
}

/** Returns a job that somebody asks for. */
export function newJob(request: JobRequest, createdAtMs: number): Job {
  return {
    id: request.id ?? randomUUID(),
    kind: request.kind,
    state: 'queued',
    subject: request.subject,
    actor: currentActor(),
    createdAtMs,
  };
}

/** Returns a job that has just been accepted. */
export function liveJob(job: Job, request: JobRequest): LiveJob {
  return {
    job,
    request,
    abort: new AbortController(),
    rate: new ProgressRate(),
    notifiedMs: -Infinity,
    savedMs: -Infinity,
    saving: Promise.resolve(),
  };
}

export interface JobsOptions {
  /**
   * Backups and verifications that run at once, and so many restores beside them; others wait in
   * order.
   */
  readonly concurrency: number;
  /** When to repeat writing an end that could not be written. */
  readonly rewriteMs?: number;
  /** How long jobs may take to end when the service stops. */
  readonly endMsMax?: number;
}

/** Where jobs are stored; tests replace it. */
export type JobStorage = Pick<
  JobRows,
  'add' | 'update' | 'get' | 'starting' | 'list' | 'endUnfinished'
>;

/** Time, where events go, and where jobs run. */
export interface JobsEnvironment {
  readonly hostId: string;
  readonly clock: Clock;
  readonly log: Log;
}
