import { randomUUID } from 'node:crypto';
import type { ClaimedJob, JobClaims } from '../catalog/jobs/job-claims.ts';
import type { HeldLease, JobLeases } from '../catalog/jobs/job-leases.ts';
import type { JobRows } from '../catalog/jobs/job-rows.ts';
import type { JobSignals } from '../catalog/jobs/job-signals.ts';
import type { VaultReach } from '../catalog/jobs/vault-reach.ts';
import { currentActor } from '../kernel/actor.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { JobLimits } from './job-lanes.ts';
import type { StopReason } from './job-outcome.ts';
import type { Job, JobRequest } from './job.ts';
import { ProgressRate } from './progress-rate.ts';
import { fromStored } from './stored-job.ts';

/** A job of which this process has the claim. */
export interface LiveJob {
  job: Job;
  readonly parameters: unknown;
  /** Of the claim. */
  readonly token: string;
  readonly lease: HeldLease;
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

/** Returns a job that has just been claimed. */
export function liveJob(claimed: ClaimedJob, lease: HeldLease): LiveJob {
  return {
    job: fromStored(claimed),
    parameters: claimed.parameters,
    token: claimed.token,
    lease,
    abort: new AbortController(),
    rate: new ProgressRate(),
    notifiedMs: -Infinity,
    savedMs: -Infinity,
    saving: Promise.resolve(),
  };
}

export interface JobsOptions extends JobLimits {
  /** When to repeat writing an end that could not be written. */
  readonly rewriteMs?: number;
  /** How long jobs may take to end when the service stops. */
  readonly endMsMax?: number;
  /** How long a job waits for a host that can run it. */
  readonly patienceMs?: number;
}

/** Where jobs are stored; tests replace it. */
export interface JobStorage {
  readonly rows: Pick<
    JobRows,
    | 'add'
    | 'report'
    | 'end'
    | 'endQueued'
    | 'requestCancel'
    | 'get'
    | 'many'
    | 'starting'
    | 'list'
    | 'waiting'
    | 'placesOf'
  >;
  readonly claims: Pick<JobClaims, 'claim' | 'all' | 'endStale' | 'endClaimsOf' | 'handOutMissing'>;
  readonly leases: Pick<JobLeases, 'hold' | 'listen' | 'terms'>;
  readonly signals: Pick<JobSignals, 'listen'>;
  readonly vaults: { look(): Promise<Pick<VaultReach, 'isFor' | 'problem'>> };
}

/** Time, where events go, and which host this is. */
export interface JobsEnvironment {
  readonly hostId: string;
  readonly clock: Clock;
  readonly log: Log;
}
