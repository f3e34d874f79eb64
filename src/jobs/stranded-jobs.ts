import type { VaultReach } from '../catalog/jobs/vault-reach.ts';
import type { Fault } from '../kernel/fault.ts';
import type { JobRuns } from './job-runs.ts';
import { failedAt } from './job-outcome.ts';
import type { JobsEnvironment, JobStorage } from './live-job.ts';

/** Jobs looked at, oldest first. */
const LOOK_COUNT = 100;

/**
 * Ends jobs that wait for a host that is not there: one that has the keys they need. A host that
 * starts again, or a start of all hosts one after the other, must not end them, so it is patient.
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

  /** Looks at all jobs that any host may run. Call it now and then, also if there are none. */
  async look(): Promise<void> {
    const { clock } = this.environment;
    // Others learn from this look what this host can do.
    const reach = await this.storage.vaults.look();
    const waiting = await this.storage.rows.waitingAnywhere(LOOK_COUNT);
    const problems = new Map(
      waiting.flatMap((job) => {
        const problem = this.problemOf(job, reach);
        return problem === undefined ? [] : [[job.id, problem] as const];
      }),
    );
    for (const id of this.since.keys()) {
      if (!problems.has(id)) {
        this.since.delete(id);
      }
    }
    const nowMs = clock.monotonicMs();
    for (const [id, problem] of problems) {
      const sinceMs = this.since.get(id) ?? nowMs;
      this.since.set(id, sinceMs);
      if (nowMs - sinceMs >= this.patienceMs) {
        await this.end(id, problem);
      }
    }
  }

  private problemOf(
    job: Parameters<JobRuns['needsOf']>[0],
    reach: Pick<VaultReach, 'problem'>,
  ): Fault | undefined {
    const needs = this.runs.needsOf(job);
    return needs && reach.problem(needs.vaults);
  }

  private async end(jobId: string, problem: Fault): Promise<void> {
    const { clock, log } = this.environment;
    if (await this.storage.rows.endQueued(jobId, failedAt(clock.nowMs(), problem))) {
      log.warn('job.no-host', { jobId, error: problem });
    }
  }
}
