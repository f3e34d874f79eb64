import { randomUUID } from 'node:crypto';
import { backupKey, type BackupParameters } from '../../backup/backup.job.ts';
import type { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import type { RunChange, RunRows, StoredRun } from '../../catalog/run-rows.ts';
import { isFinished, type Job, type JobRequest } from '../../jobs/job.ts';
import type { Jobs } from '../../jobs/jobs.ts';
import { actingAs } from '../../kernel/actor.ts';
import { isFault, type Fault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { jobLimits } from '../document/job-limits.ts';
import { isReadable, type KnownPolicy, type PolicyInForce } from '../known-policy.ts';
import { nextFireTime } from '../schedule/fire-times.ts';
import { afterAttempt, type AttemptEnd } from './after-attempt.ts';
import { startable } from './startable.ts';
import type { VaultLooks } from './vault-looks.ts';

const REFUSED_MS = 60_000;

export interface AttemptParts {
  readonly rows: Pick<RunRows, 'change' | 'begin'>;
  readonly vaults: Pick<RegisteredVaults, 'choose'>;
  readonly looks: Pick<VaultLooks, 'isDone' | 'want'>;
  readonly jobs: Pick<Jobs, 'start' | 'get' | 'watch'>;
  readonly log: Log;
  /** Called when a job of a run has ended. */
  readonly onEnd: () => void;
}

export interface AttemptOptions {
  /** How many runs of a host have a job at once. The others wait, where a restore passes them. */
  readonly atOnce: number;
  /** Waiting times before the next attempt, while something is unavailable. */
  readonly backoffMs: readonly number[];
}

/** Policies in force, by id. */
export type PoliciesById = ReadonlyMap<string, PolicyInForce>;

/** Turns runs into jobs, and the ends of jobs into those of runs. */
export class RunAttempts {
  constructor(
    private readonly parts: AttemptParts,
    private readonly options: AttemptOptions,
  ) {}

  /**
   * Brings the runs that have a job up to date with it: whether the job ended while somebody
   * watched, while the database was away, or with the service.
   */
  async settle(
    runs: readonly StoredRun[],
    policies: PoliciesById,
    nowMs: number,
  ): Promise<StoredRun[]> {
    const settled: StoredRun[] = [];
    for (const run of runs) {
      const change = hasJob(run) ? await this.newsOf(run, policies, nowMs) : {};
      if (Object.keys(change).length > 0) {
        await this.change(run, change);
      }
      settled.push({ ...run, ...change });
    }
    return settled.filter(({ state }) => state === 'due' || hasJob({ state }));
  }

  /** Starts what is due of this host's runs, as far as there is room among those of all hosts. */
  async start(
    runs: readonly StoredRun[],
    policies: PoliciesById,
    { nowMs, hostId }: { readonly nowMs: number; readonly hostId: string },
  ): Promise<void> {
    for (const run of runs) {
      if (run.state === 'due' && !policies.has(run.policyId)) {
        await this.change(run, { state: 'skipped', why: 'the policy was removed' });
      }
    }
    const busy = runs.filter(hasJob);
    const isOwn = (run: StoredRun): boolean => run.hostId === hostId;
    for (const { run, policy } of startable(runs.filter(isOwn), policies, nowMs)) {
      if (busy.filter(isOwn).length >= this.options.atOnce) {
        break;
      }
      const ofPolicy = busy.filter(({ policyId }) => policyId === policy.id);
      const isFree = !busy.some(({ vmId }) => vmId === run.vmId);
      if (isFree && ofPolicy.length < (policy.document.limits?.atOnce ?? Infinity)) {
        if (await this.attempt(run, policy, nowMs)) {
          busy.push(run);
        }
      }
    }
  }

  /** @returns whether the run has a job now */
  private async attempt(before: StoredRun, policy: KnownPolicy, nowMs: number): Promise<boolean> {
    const jobId = randomUUID();
    const attempt = before.attempt + 1;
    const run = { ...before, attempt, jobId, revision: policy.revision, state: 'queued' };
    const { parts } = this;
    const stop = this.watch(jobId);
    try {
      const vault = await parts.vaults.choose(policy.document.vault);
      if (!parts.looks.isDone(vault.id)) {
        stop();
        return false;
      }
      const begun = { state: 'queued', why: null, attempt, jobId, vaultId: vault.id } as const;
      // The job's id is written first: whoever starts after a crash finds the job, or that there is
      // none.
      const atOnce = policy.document.limits?.atOnce;
      if (await parts.rows.begin(before, { ...begun, revision: policy.revision }, atOnce)) {
        const request = requestOf(run, policy, { id: vault.id, name: vault.name });
        await actingAs(run.actor ?? undefined, async () => parts.jobs.start(request));
        return true;
      }
      stop();
    } catch (error) {
      stop();
      if (!isFault(error) || error.code.startsWith('database.')) {
        throw error;
      }
      await this.change(run, this.afterRefusal(run, error, policy, nowMs));
    }
    return false;
  }

  /** @returns what ends the watch early */
  private watch(jobId: string): () => void {
    const stop = this.parts.jobs.watch(jobId, (job) => {
      if (isFinished(job)) {
        stop();
        this.parts.onEnd();
      }
    });
    return stop;
  }

  private afterRefusal(
    run: StoredRun,
    fault: Fault,
    policy: KnownPolicy,
    nowMs: number,
  ): RunChange {
    if (fault.code === 'job.refused') {
      // Nothing was attempted: the service stops, or has too much to do.
      const nextTryAtMs = nowMs + REFUSED_MS;
      return { state: 'due', attempt: run.attempt - 1, nextTryAtMs, why: 'the service is busy' };
    }
    const { code, message, context } = fault;
    const end = { state: 'failed', fault: { code, message, context } } as const;
    return { attempt: run.attempt, ...this.after(run, end, policy, nowMs) };
  }

  private async newsOf(run: StoredRun, policies: PoliciesById, nowMs: number): Promise<RunChange> {
    const job = await this.jobOf(run);
    if (job === undefined) {
      // The service ended between writing its id and starting it.
      return { state: 'due', attempt: run.attempt - 1, jobId: null };
    }
    if (isFinished(job)) {
      const change = this.after(run, job, policies.get(run.policyId), nowMs);
      if (job.state === 'interrupted' && change.state === 'failed' && run.vaultId !== null) {
        // It may have sealed its point, and nobody else comes to find it.
        this.parts.looks.want(run.vaultId);
      }
      return change;
    }
    return job.state === run.state ? {} : { state: job.state };
  }

  private async jobOf({ jobId }: StoredRun): Promise<Job | undefined> {
    try {
      return jobId === null ? undefined : await this.parts.jobs.get(jobId);
    } catch (error) {
      if (isFault(error, 'job.unknown')) {
        return undefined;
      }
      throw error;
    }
  }

  private after(
    run: StoredRun,
    end: AttemptEnd,
    policy: PolicyInForce | undefined,
    nowMs: number,
  ): RunChange {
    // Without its policy a run is not tried again.
    const untilMs = policy === undefined ? nowMs : replacedAt(policy, run);
    return afterAttempt(run, end, { nowMs, untilMs, backoffMs: this.options.backoffMs });
  }

  private async change(run: StoredRun, change: RunChange): Promise<void> {
    const { policyName: policy, vmName: vm, id } = run;
    if ((await this.parts.rows.change(id, change)) && change.state !== 'running') {
      const { state, why, nextTryAtMs } = change;
      this.parts.log.info('run.changed', { runId: id, policy, vm, state, why, nextTryAtMs });
    }
  }
}

/** Returns when the next run of the VM is due. While the policy cannot be read, no run is. */
function replacedAt(policy: PolicyInForce, { fireAtMs }: StoredRun): number {
  const { schedule } = isReadable(policy) ? policy.document : {};
  return (schedule && nextFireTime(schedule, fireAtMs)) ?? Infinity;
}

function hasJob({ state }: Pick<StoredRun, 'state'>): boolean {
  return state === 'queued' || state === 'running';
}

function requestOf(
  run: StoredRun,
  policy: KnownPolicy,
  vault: { readonly id: string; readonly name: string },
): JobRequest {
  const { id, vmId, vmName, fireAtMs, attempt, revision, actor } = run;
  const parameters: BackupParameters = {
    vmId,
    vaultId: vault.id,
    crashConsistent: policy.document.consistency === 'crash',
    full: false,
    ...jobLimits(policy.document),
    origin: {
      ...{ kind: 'policy', policy: policy.name, revision, run: id, fireAtMs, attempt },
      ...(actor === null ? {} : { actor }),
    },
  };
  return {
    ...(run.jobId === null ? {} : { id: run.jobId }),
    kind: 'backup',
    subject: { vmId, vmName, vaultId: vault.id, vaultName: vault.name },
    parameters,
    exclusiveKey: backupKey(vmId),
  };
}
