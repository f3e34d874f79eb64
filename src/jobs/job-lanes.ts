import type { LaneLimits } from '../catalog/jobs/job-room.ts';
import { CARE_KINDS, PROOF_KINDS, UPKEEP_KINDS, type JobKind } from './job.ts';

type LaneName = 'data' | 'restore' | 'upkeep' | 'proof';

/** Jobs that care for vaults and run at once on a host, beside the others. */
const UPKEEP_WIDTH = 2;

/** A verification waits so long at most for an hour without backups and restores on its host. */
const PROOF_PATIENCE_MS = 3_600_000;

const UPKEEP: ReadonlySet<JobKind> = new Set([...UPKEEP_KINDS, ...CARE_KINDS]);
const PROOF: ReadonlySet<JobKind> = new Set(PROOF_KINDS);

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
  if (kind === 'restore') {
    return kind;
  }
  return UPKEEP.has(kind) ? 'upkeep' : PROOF.has(kind) ? 'proof' : 'data';
}

export function laneLimits(limits: JobLimits): Record<LaneName, LaneLimits> {
  const { concurrency, allHosts = Infinity, perVault = Infinity, perVm = Infinity } = limits;
  const work = { host: concurrency, all: allHosts, vault: perVault, vm: perVm };
  const upkeep = { host: UPKEEP_WIDTH, all: Infinity, vault: Infinity, vm: Infinity };
  const yields = { to: ['data', 'restore'], forMs: PROOF_PATIENCE_MS };
  const proof = { ...{ host: 1, all: Infinity, vault: Infinity, vm: Infinity }, yields };
  return { data: work, restore: work, upkeep, proof };
}
