import type { StoredCareRun } from '../catalog/care/care-run-rows.ts';
import type { StoreRole } from '../catalog/vault-credentials.ts';
import type { JobRequest } from '../jobs/job.ts';
import { bytesOf } from '../policies/document/care-document.ts';
import { rateLimitsOf } from '../policies/document/rate.ts';
import { upkeepKey, type UpkeepParameters } from '../upkeep/upkeep.jobs.ts';
import type { CareKind, CareTask } from './care-task.ts';

/** Whose credentials each kind of care uses at the store. */
export const CARE_ROLES = {
  prune: 'collector',
  scrub: 'collector',
  copy: 'collector',
  keep: 'keeper',
} as const satisfies Record<CareKind, StoreRole>;

/** Returns the job of a run. */
export function careRequest(
  task: CareTask,
  { jobId, hostId }: Pick<StoredCareRun, 'jobId'> & { readonly hostId: string },
): JobRequest {
  const { vaultId, vaultName, kind } = task;
  const key = upkeepKey(kind, vaultId, false);
  // A vault may have several copies, and each has a job of its own.
  const exclusiveKey = key === undefined || task.copy === undefined ? key : `${key} ${task.name}`;
  return {
    ...(jobId === null ? {} : { id: jobId }),
    kind,
    // What a scrub has proven is kept by the host that does the scrubs of the vault.
    ...(kind === 'scrub' ? {} : { place: { hostId } }),
    subject: { vaultId, vaultName },
    parameters: { vaultId, limits: limitsOf(task), ...parametersOf(task) },
    ...(exclusiveKey === undefined ? {} : { exclusiveKey }),
  };
}

function limitsOf({ budget = {} }: CareTask): UpkeepParameters<'keep'>['limits'] {
  const { bytes, ...limits } = budget;
  return { ...limits, ...(bytes === undefined ? {} : { bytes: bytesOf(bytes) }) };
}

type Own<Kind extends CareKind> = Omit<UpkeepParameters<Kind>, 'vaultId' | 'limits'>;

/** Returns what the job is told beside vault and limits. */
function parametersOf(task: CareTask): object {
  const { copy, scrub } = task;
  if (copy !== undefined) {
    const { location, endpoint, region, profile, singleWriter, readBack, prune } = copy;
    const rateLimits = rateLimitsOf(copy, task.schedule.zone);
    const place = { location, endpoint, region, profile, singleWriter };
    return {
      ...{ dryRun: false, to: place, readBack, prune },
      ...(rateLimits === undefined ? {} : { rateLimits }),
    } satisfies Own<'copy'>;
  }
  if (scrub !== undefined) {
    const { parts, depth = 'ids' } = scrub;
    const budget = parts === undefined ? {} : { budget: { share: 1 / parts } };
    return { ...budget, depth } satisfies Own<'scrub'>;
  }
  return task.kind === 'prune'
    ? ({ dryRun: false, rules: {} } satisfies Own<'prune'>)
    : ({ everything: false } satisfies Own<'keep'>);
}
