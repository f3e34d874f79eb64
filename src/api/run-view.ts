import type { StoredRun } from '../catalog/run-rows.ts';
import type { Run } from './contract/runs.ts';

/** Returns a run in the form of the contract. */
export function viewOfRun(run: StoredRun): Run {
  const { id, policyName, vmId, vmName, fireAtMs, attempt } = run;
  const fault = run.fault as Run['fault'] | null;
  return {
    ...{ id, policy: policyName, vmId, vmName, fireAtMs, attempt },
    // Only this service wrote it.
    state: run.state as Run['state'],
    ...(run.why === null ? {} : { why: run.why }),
    ...(run.actor === null ? {} : { actor: run.actor }),
    ...(run.state === 'due' ? { nextTryAtMs: run.nextTryAtMs } : {}),
    ...(run.jobId === null ? {} : { jobId: run.jobId }),
    ...(fault ? { fault: { code: fault.code, message: fault.message } } : {}),
    ...(run.pointId === null ? {} : { pointId: run.pointId }),
  };
}
