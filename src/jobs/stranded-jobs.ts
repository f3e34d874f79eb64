import type { VmPlace } from '../catalog/jobs/job-rows.ts';
import type { VaultReach } from '../catalog/jobs/vault-reach.ts';
import type { Fault } from '../kernel/fault.ts';
import type { JobRuns } from './job-runs.ts';
import { failedAt, movedAt, type JobChange } from './job-outcome.ts';
import type { JobsEnvironment, JobStorage } from './live-job.ts';

type WaitingJob = Awaited<ReturnType<JobStorage['rows']['waiting']>>[number];

/**
 * Ends jobs that wait for a host that will not run them: nobody has the keys they need, or the VM
 * is on another host now. A host that starts again, or a start of all hosts one after the other,
 * must not end those that need keys, so it is patient with them.
 */
export class StrandedJobs {
  /** Since when nobody could run a job, by its id. */
  private readonly since = new Map<string, number>();

  constructor(
    private readonly storage: Pick<JobStorage, 'rows' | 'vaults'>,
    private readonly runs: Pick<JobRuns, 'needsOf'>,
    private readonly environment: JobsEnvironment,
    private readonly patienceMs: number,
  ) {}

  /** Looks at all jobs that wait, on all hosts. Call it now and then, also if there are none. */
  async look(): Promise<void> {
    // Others learn from this look what this host can do.
    const reach = await this.storage.vaults.look();
    const waiting = await this.storage.rows.waiting();
    await this.endMoved(waiting);
    await this.endUnable(waiting, reach);
  }

  private async endMoved(waiting: readonly WaitingJob[]): Promise<void> {
    const { rows } = this.storage;
    const bound = waiting.filter(({ hostId }) => hostId !== null);
    const all = [...new Set(bound.flatMap((job) => this.vmsOf(job)))];
    const found = all.length === 0 ? [] : await rows.placesOf(all);
    const places = new Map(found.map((place) => [place.vmId, place]));
    for (const job of bound) {
      const moved = this.vmsOf(job)
        .map((id) => places.get(id))
        .find((place): place is VmPlace => place !== undefined && place.hostId !== job.hostId);
      if (moved !== undefined) {
        await this.end(job.id, movedAt(this.environment.clock.nowMs(), moved));
      }
    }
  }

  private async endUnable(
    waiting: readonly WaitingJob[],
    reach: Pick<VaultReach, 'problem'>,
  ): Promise<void> {
    const problems = new Map(
      waiting.flatMap((job) => {
        const problem = job.hostId === null ? this.problemOf(job, reach) : undefined;
        return problem === undefined ? [] : [[job.id, problem] as const];
      }),
    );
    for (const id of this.since.keys()) {
      if (!problems.has(id)) {
        this.since.delete(id);
      }
    }
    const { clock } = this.environment;
    const nowMs = clock.monotonicMs();
    for (const [id, problem] of problems) {
      const sinceMs = this.since.get(id) ?? nowMs;
      this.since.set(id, sinceMs);
      if (nowMs - sinceMs >= this.patienceMs) {
        await this.end(id, failedAt(clock.nowMs(), problem));
      }
    }
  }

  private vmsOf(job: WaitingJob): readonly string[] {
    const needs = this.runs.needsOf(job);
    return needs !== undefined && 'vms' in needs ? needs.vms : [];
  }

  private problemOf(job: WaitingJob, reach: Pick<VaultReach, 'problem'>): Fault | undefined {
    const needs = this.runs.needsOf(job);
    return needs !== undefined && 'vaults' in needs ? reach.problem(needs.vaults) : undefined;
  }

  private async end(jobId: string, end: JobChange): Promise<void> {
    if (await this.storage.rows.endQueued(jobId, end)) {
      const { code, message } = end.fault ?? {};
      this.environment.log.warn('job.no-host', { jobId, code, message });
    }
  }
}
