import type { StoredJob } from '../catalog/jobs/job-statements.ts';
import { Fault, isFault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { laneOf } from './job-lanes.ts';
import type { Job, JobFault, JobKind, JobProgress, JobRequest, JobState } from './job.ts';

/** Converts a row to a job. Only this service wrote the JSON. */
export function fromStored(row: StoredJob): Job {
  return {
    id: row.id,
    kind: row.kind as JobKind,
    state: row.state as JobState,
    subject: row.subject,
    ...(row.actor === null ? {} : { actor: row.actor }),
    ...hostOf(row),
    createdAtMs: row.createdAtMs,
    ...(row.startedAtMs === null ? {} : { startedAtMs: row.startedAtMs }),
    ...(row.finishedAtMs === null ? {} : { finishedAtMs: row.finishedAtMs }),
    ...(row.progress === null ? {} : { progress: row.progress as JobProgress }),
    ...(row.fault === null ? {} : { fault: row.fault as JobFault }),
    ...(row.result === null ? {} : { result: row.result }),
  };
}

function hostOf({ claimedBy, hostId }: StoredJob): Pick<Job, 'hostId'> {
  const found = claimedBy ?? hostId;
  return found === null ? {} : { hostId: found };
}

/** Converts a job that nobody has claimed to a row. @param hostId of this host */
export function toStored(job: Job, request: JobRequest, hostId: string): StoredJob {
  const { place = { hostId } } = request;
  return {
    id: job.id,
    kind: job.kind,
    state: job.state,
    exclusiveKey: request.exclusiveKey ?? null,
    lane: laneOf(job.kind),
    priority: request.priority ?? 0,
    hostId: place === 'any-host' ? null : place.hostId,
    ...{ claimedBy: null, token: null, leaseUntilMs: null, leaseMs: null, cancelRequested: false },
    subject: { ...job.subject },
    parameters: request.parameters,
    actor: job.actor ?? null,
    createdAtMs: job.createdAtMs,
    startedAtMs: job.startedAtMs ?? null,
    finishedAtMs: job.finishedAtMs ?? null,
    progress: job.progress ?? null,
    fault: job.fault ?? null,
    result: job.result ?? null,
  };
}

export function unknownJob(id: string): Fault {
  return new Fault('job.unknown', `There is no job ${id}; jobs list shows those there are.`, {
    jobId: id,
  });
}

/** Tells of rows that could not be written: once while the database is away. */
export class UnwrittenRows {
  private isAwayTold = false;

  constructor(private readonly log: Log) {}

  tell(jobId: string, error: unknown): void {
    const isAway = isFault(error, 'database.unavailable');
    if (!isAway || !this.isAwayTold) {
      this.log.error('job.row-not-written', { jobId, error });
    }
    this.isAwayTold ||= isAway;
  }

  /** The database takes rows. */
  wrote(): void {
    this.isAwayTold = false;
  }
}
