import { randomUUID } from 'node:crypto';
import type { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import type { RunChange, RunRows, StoredRun } from '../../catalog/run-rows.ts';
import { isFinished, type Job } from '../../jobs/job.ts';
import type { Jobs } from '../../jobs/jobs.ts';
import { actingAs } from '../../kernel/actor.ts';
import { isFault, type Fault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { isReadable, type KnownPolicy, type PolicyInForce } from '../known-policy.ts';
import { nextFireTime } from '../schedule/fire-times.ts';
import { afterAttempt, type AttemptEnd } from './after-attempt.ts';
import { requestOf } from './run-request.ts';
import { unitsOf, type RunUnit } from './run-units.ts';
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
    for (const unit of unitsOf(startable(runs.filter(isOwn), policies, nowMs), runs)) {
      if (!this.hasRoom(unit, busy.filter(isOwn))) {
        // A group waits for room, and nobody overtakes it.
        break;
      }
      if (isFree(unit, busy) && (await this.attempt(unit, nowMs))) {
        busy.push(...unit.runs);
      }
    }
  }

  /** A group that is larger than all the room gets it alone. */
  private hasRoom({ runs }: RunUnit, busy: readonly StoredRun[]): boolean {
    const { atOnce } = this.options;
    return busy.length + Math.min(runs.length, atOnce) <= atOnce;
  }

  /** @returns whether the runs have a job now */
  private async attempt({ runs, policy }: RunUnit, nowMs: number): Promise<boolean> {
    const jobId = randomUUID();
    const begun = runs.map((run) => {
      return {
        ...run,
        attempt: run.attempt + 1,
        jobId,
        revision: policy.revision,
        state: 'queued',
      };
    });
    const { parts } = this;
    const stop = this.watch(jobId);
    try {
      const vault = await parts.vaults.choose(policy.document.vault);
      if (!parts.looks.isDone(vault.id)) {
        stop();
        return false;
      }
      // The job's id is written first: whoever starts after a crash finds the job, or that there is
      // none.
      if (await this.begin({ runs: begun, policy }, vault.id)) {
        const request = requestOf(begun, policy, { id: vault.id, name: vault.name });
        await actingAs(begun[0]?.actor ?? undefined, async () => parts.jobs.start(request));
        return true;
      }
      stop();
    } catch (error) {
      stop();
      if (!isFault(error) || error.code.startsWith('database.')) {
        throw error;
      }
      for (const run of begun) {
        await this.change(run, this.afterRefusal(run, error, policy, nowMs));
      }
    }
    return false;
  }

  /** @returns false if there is no room, or a run has ended: others find that they have no job */
  private async begin({ runs, policy }: RunUnit, vaultId: string): Promise<boolean> {
    for (const run of runs) {
      const { attempt, jobId, revision } = run;
      const change = { ...{ state: 'queued', why: null, attempt, jobId, vaultId }, revision };
      if (!(await this.parts.rows.begin(run, change, atOnceOf(policy)))) {
        return false;
      }
    }
    return true;
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

/** True if nobody has a VM of the runs, and the policy may have more VMs at once. */
function isFree({ runs, policy }: RunUnit, busy: readonly StoredRun[]): boolean {
  const vms = new Set(runs.map(({ vmId }) => vmId));
  const own = busy.filter(({ policyId }) => policyId === policy.id);
  return !busy.some(({ vmId }) => vms.has(vmId)) && own.length < (atOnceOf(policy) ?? Infinity);
}

/** A group is taken at once or not at all. */
function atOnceOf({ document: { limits, group } }: KnownPolicy): number | undefined {
  return group === undefined ? limits?.atOnce : undefined;
}
