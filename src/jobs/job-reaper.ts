import type { SeenClaim } from '../catalog/jobs/job-claims.ts';
import { interruptedAt } from './job-outcome.ts';
import type { JobRuns } from './job-runs.ts';
import type { JobsEnvironment, JobStorage } from './live-job.ts';

interface Watched {
  readonly token: string | null;
  readonly untilMs: number | null;
  readonly sinceMs: number;
}

/**
 * Ends jobs of services that are gone, and those of this one that it does not run: it claimed them
 * and never heard so, because the connection was lost with the answer. It compares no clocks of two
 * hosts: a lease is over when this process has watched for as long as the lease is that nobody
 * renewed it.
 */
export class JobReaper {
  private readonly watched = new Map<string, Watched>();
  private lookedMs = -Infinity;

  constructor(
    private readonly claims: Pick<JobStorage['claims'], 'all' | 'endStale'>,
    private readonly runs: Pick<JobRuns, 'get'>,
    private readonly environment: JobsEnvironment,
    private readonly pollMs: number,
  ) {}

  /** Looks at all claims that are not kept here. Call it now and then. */
  async look(): Promise<void> {
    const { clock, log } = this.environment;
    let seen: SeenClaim[];
    try {
      seen = (await this.claims.all()).filter(
        ({ id, token }) => this.runs.get(id)?.token !== token,
      );
    } catch (error) {
      this.watched.clear();
      throw error;
    }
    const nowMs = clock.monotonicMs();
    // While this process or the database stood still nobody could renew, or be seen to.
    if (nowMs - this.lookedMs > 3 * this.pollMs) {
      this.watched.clear();
    }
    this.lookedMs = nowMs;
    this.forgetOthersThan(seen);
    for (const claim of seen) {
      if (this.isOver(claim, nowMs)) {
        const ended = await this.claims.endStale(claim, interruptedAt(clock.nowMs()));
        if (ended) {
          log.warn('job.lease-over', { jobId: claim.id, hostId: claim.claimedBy });
        }
      }
    }
  }

  private isOver({ id, token, leaseUntilMs, leaseMs }: SeenClaim, nowMs: number): boolean {
    const before = this.watched.get(id);
    if (before?.token === token && before.untilMs === leaseUntilMs) {
      return nowMs - before.sinceMs > (leaseMs ?? 0);
    }
    this.watched.set(id, { token, untilMs: leaseUntilMs, sinceMs: nowMs });
    return false;
  }

  private forgetOthersThan(seen: readonly SeenClaim[]): void {
    const ids = new Set(seen.map(({ id }) => id));
    for (const id of this.watched.keys()) {
      if (!ids.has(id)) {
        this.watched.delete(id);
      }
    }
  }
}
