import type { VaultNeed } from '../catalog/jobs/vault-reach.ts';
import type { Fault, FaultContext } from '../kernel/fault.ts';
import type { Progress, ReportProgress } from '../kernel/progress.ts';

/**
 * Jobs that people wait for: they never queue behind the care of a vault, and a restore never
 * queues behind a backup.
 */
export const DATA_KINDS = ['backup', 'backup-group', 'restore', 'verify'] as const;
/** Jobs that care for vaults: they may take days, and queue only behind each other. */
export const UPKEEP_KINDS = [
  'probe',
  'usage',
  'retirement-plan',
  'revive',
  'prune',
  'scrub',
  'repair',
  'copy',
  'keep',
  'destroy',
] as const;
/** Jobs of policies that care for vaults too, in the same lane. */
export const CARE_KINDS = ['retain'] as const;
/** Verifications that the service begins by itself. Nobody waits for them. */
export const PROOF_KINDS = ['prove'] as const;
export type UpkeepKind = (typeof UPKEEP_KINDS)[number];
export type JobKind =
  | (typeof DATA_KINDS)[number]
  | UpkeepKind
  | (typeof CARE_KINDS)[number]
  | (typeof PROOF_KINDS)[number];

/** `interrupted`: the service stopped while it ran. */
export type JobState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'interrupted';

export interface JobProgress extends Progress {
  readonly rateBytesPerSecond: number;
  /** Undefined if there is no estimate. */
  readonly secondsLeft?: number;
}

/** Why a job did not succeed. */
export interface JobFault {
  /** A fault code, `cancelled`, or `internal` for a bug. */
  readonly code: string;
  readonly message: string;
  readonly context: FaultContext;
}

/** What a job works on, for people and lists. */
export interface JobSubject {
  readonly vmId?: string;
  readonly vmName?: string;
  readonly vaultId?: string;
  readonly vaultName?: string;
}

/** One run of an operation. */
export interface Job {
  readonly id: string;
  readonly kind: JobKind;
  readonly state: JobState;
  readonly subject: JobSubject;
  /** On whose behalf it runs; undefined for jobs of older versions. */
  readonly actor?: string;
  /** The host that runs it, or ran it, or for which it waits; undefined: it waits for any. */
  readonly hostId?: string;
  readonly createdAtMs: number;
  readonly startedAtMs?: number;
  readonly finishedAtMs?: number;
  /** The last report; kept after the end of the job. */
  readonly progress?: JobProgress;
  readonly fault?: JobFault;
  /** What the operation returned, or found before it failed: JSON. */
  readonly result?: unknown;
}

export interface JobRequest {
  /**
   * Where it runs. Default: on any host that has what its kind needs; if its kind does not say so,
   * on this one, where its VM or its files are.
   */
  readonly place?: { readonly hostId: string } | 'any-host';
  /** Jobs with more start earlier among those that wait beside them. Default: 0. */
  readonly priority?: number;
  /** Chosen by somebody who writes it down before the job starts; default: a new one. */
  readonly id?: string;
  readonly kind: JobKind;
  readonly subject: JobSubject;
  /** Input of the operation: JSON, without secrets, because it is stored. */
  readonly parameters: unknown;
  /** Only one unfinished job can have a key: `backup VM-ID`. */
  readonly exclusiveKey?: string;
}

/** What a running operation gets. */
export interface JobRun {
  readonly jobId: string;
  readonly signal: AbortSignal;
  readonly report: ReportProgress;
}

/**
 * Thrown by work that was done and found something wrong: the job fails with the fault, and keeps
 * what was found.
 */
export class FailedWith extends Error {
  override readonly name = 'FailedWith';
  readonly fault: Fault;
  readonly result: object;

  constructor(fault: Fault, result: object) {
    super(fault.message, { cause: fault });
    this.fault = fault;
    this.result = result;
  }
}

/** Carries an operation out. Its return value becomes the job's result, so it must be JSON. */
export type RunJob = (parameters: unknown, run: JobRun) => Promise<object>;

/** What a job needs: VMs, so that it runs on their host, or keys, so that any with them may. */
export type JobNeeds =
  | { readonly vms: readonly string[] }
  | {
      readonly vaults: readonly VaultNeed[];
      /** Whether it should be the same host each time, which keeps something from time to time. */
      readonly isSteady?: boolean;
    };

/** Returns what a job with these parameters needs; undefined: it stays where it was asked for. */
export type NeedsOf = (parameters: unknown) => JobNeeds | undefined;

/** True if the job will not change any more. */
export function isFinished({ state }: Pick<Job, 'state'>): boolean {
  return state !== 'queued' && state !== 'running';
}
