import type { JobRow } from '../rows/job.row.ts';

/** How many jobs of a lane may run at once. */
export interface LaneLimits {
  /** On one host. */
  readonly host: number;
  /** On all hosts together. */
  readonly all: number;
  readonly vault: number;
  readonly vm: number;
  /** Begins nothing while jobs of these lanes run on the host, but for what waited so long. */
  readonly yields?: { readonly to: readonly string[]; readonly forMs: number };
}

/** What counts of a job that runs or could run. */
export type CountedJob = Readonly<
  Pick<JobRow, 'lane' | 'claimedBy' | 'subject'> & Partial<Pick<JobRow, 'createdAtMs'>>
>;

/** Room for jobs on a host, as long as nobody else takes any. */
export class JobRoom {
  private readonly counts = new Map<string, number>();

  /** @param limits by lane; a lane without them has no room */
  constructor(
    private readonly hostId: string,
    private readonly limits: Readonly<Record<string, LaneLimits>>,
    running: readonly CountedJob[],
    private readonly nowMs = 0,
  ) {
    for (const job of running) {
      this.count(job, job.claimedBy);
    }
  }

  /** Whether a job of this lane can start here at all now. */
  isIn(lane: string): boolean {
    const limits = this.limits[lane];
    return (
      limits !== undefined &&
      this.at(`${lane} host ${this.hostId}`) < limits.host &&
      this.at(lane) < limits.all
    );
  }

  /** Takes the room for a job. @returns false if there is none */
  take(job: CountedJob): boolean {
    const { lane, subject } = job;
    const limits = this.limits[lane];
    const { vaultId = '', vmId = '' } = subject;
    if (
      limits === undefined ||
      !this.isIn(lane) ||
      this.mustYield(job, limits) ||
      (vaultId !== '' && this.at(`${lane} vault ${vaultId}`) >= limits.vault) ||
      (vmId !== '' && this.at(`${lane} vm ${vmId}`) >= limits.vm)
    ) {
      return false;
    }
    this.count(job, this.hostId);
    return true;
  }

  private mustYield({ createdAtMs = 0 }: CountedJob, { yields }: LaneLimits): boolean {
    return (
      yields !== undefined &&
      this.nowMs - createdAtMs < yields.forMs &&
      yields.to.some((lane) => this.at(`${lane} host ${this.hostId}`) > 0)
    );
  }

  private at(key: string): number {
    return this.counts.get(key) ?? 0;
  }

  private count({ lane, subject }: CountedJob, hostId: string | null): void {
    const { vaultId = '', vmId = '' } = subject;
    for (const key of [
      lane,
      `${lane} host ${hostId ?? ''}`,
      `${lane} vault ${vaultId}`,
      `${lane} vm ${vmId}`,
    ]) {
      this.counts.set(key, this.at(key) + 1);
    }
  }
}
