import type { LaneLimits } from '../catalog/jobs/job-room.ts';
import { CARE_KINDS, UPKEEP_KINDS, type JobKind } from './job.ts';

type LaneName = 'data' | 'restore' | 'upkeep';

/** Jobs that care for vaults and run at once on a host, beside the others. */
const UPKEEP_WIDTH = 2;

const UPKEEP: ReadonlySet<JobKind> = new Set([...UPKEEP_KINDS, ...CARE_KINDS]);

/** How many jobs run at once in each lane but that of upkeep. */
export interface JobLimits {
  /** Of this host. */
  readonly concurrency: number;
  /** Of all hosts that share the database. */
  readonly allHosts?: number | undefined;
  readonly perVault?: number | undefined;
  readonly perVm?: number | undefined;
}

/** Returns where a job waits. Each lane has its own order and its own room. */
export function laneOf(kind: JobKind): LaneName {
  // Somebody waits for a restore, and a backup may take hours.
  return kind === 'restore' ? kind : UPKEEP.has(kind) ? 'upkeep' : 'data';
}

export function laneLimits(limits: JobLimits): Record<LaneName, LaneLimits> {
  const { concurrency, allHosts = Infinity, perVault = Infinity, perVm = Infinity } = limits;
  const work = { host: concurrency, all: allHosts, vault: perVault, vm: perVm };
  const upkeep = { host: UPKEEP_WIDTH, all: Infinity, vault: Infinity, vm: Infinity };
  return { data: work, restore: work, upkeep };
}
