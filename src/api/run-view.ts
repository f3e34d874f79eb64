import type { StoredRun } from '../catalog/run-rows.ts';
import type { StoredVerification } from '../catalog/verification/verification-rows.ts';
import type { Run } from './contract/policy/runs.ts';

/**
 * Returns a run in the form of the contract.
 *
 * @param hosts names of hosts by their ids
 */
export function viewOfRun(
  run: StoredRun,
  hosts: ReadonlyMap<string, string>,
  verified?: StoredVerification,
): Run {
  const host = run.hostId === null ? undefined : hosts.get(run.hostId);
  const { id, policyName, vmId, vmName, fireAtMs, attempt } = run;
  const fault = run.fault as Run['fault'] | null;
  return {
    ...{ id, policy: policyName, vmId, vmName, fireAtMs, attempt },
    ...(host === undefined ? {} : { host }),
    // Only services of this database wrote it.
    state: run.state as Run['state'],
    ...(run.why === null ? {} : { why: run.why }),
    ...(run.actor === null ? {} : { actor: run.actor }),
    ...(run.state === 'due' ? { nextTryAtMs: run.nextTryAtMs } : {}),
    ...(run.jobId === null ? {} : { jobId: run.jobId }),
    ...(fault ? { fault: { code: fault.code, message: fault.message } } : {}),
    ...(run.pointId === null ? {} : { pointId: run.pointId }),
    ...(verified === undefined ? {} : { verification: viewOfVerification(verified) }),
  };
}

function viewOfVerification({ state, why }: StoredVerification): NonNullable<Run['verification']> {
  return {
    state: state as NonNullable<Run['verification']>['state'],
    ...(why === null ? {} : { why }),
  };
}
