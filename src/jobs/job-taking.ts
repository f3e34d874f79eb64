import { randomUUID } from 'node:crypto';
import { isFault } from '../kernel/fault.ts';
import { laneLimits, type JobLimits } from './job-lanes.ts';
import type { JobRuns } from './job-runs.ts';
import type { JobsEnvironment, JobStorage } from './live-job.ts';

/** Claims jobs for this host, one look at a time, whenever somebody rings. */
export class JobTaking {
  private taking: Promise<void> | undefined;
  private again = false;
  private isOpen = false;

  constructor(
    private readonly storage: Pick<JobStorage, 'claims' | 'leases' | 'vaults'>,
    private readonly runs: JobRuns,
    private readonly environment: JobsEnvironment,
    private readonly limits: JobLimits,
  ) {}

  open(): void {
    this.isOpen = true;
    this.ring();
  }

  /** There may be a job, or room for one. */
  ring(): void {
    this.again = true;
    if (this.isOpen) {
      this.taking ??= this.takeAll().finally(() => {
        this.taking = undefined;
        if (this.again) {
          this.ring();
        }
      });
    }
  }

  /** Claims nothing any more, and resolves when the present look is over. */
  async close(): Promise<void> {
    this.isOpen = false;
    await this.taking;
  }

  private async takeAll(): Promise<void> {
    const { hostId, clock, log } = this.environment;
    while (this.again && this.isOpen) {
      this.again = false;
      try {
        const claimed = await this.storage.claims.claim({
          hostId,
          nowMs: clock.nowMs(),
          leaseMs: this.storage.leases.terms.leaseMs,
          limits: laneLimits(this.limits),
          newToken: randomUUID,
          fit: async () => {
            const reach = await this.storage.vaults.look();
            return (job) => this.runs.fits(job, reach);
          },
        });
        for (const job of claimed) {
          this.runs.begin(job);
        }
      } catch (error) {
        // Whoever looks now and then rings again.
        if (!isFault(error, 'database.unavailable')) {
          log.error('job.not-claimed', { error });
        }
      }
    }
  }
}
