import type { NamedSuspicion } from '../../policies/suspicion/suspicions.service.ts';
import type { Suspicion } from '../contract/policy/suspicions.ts';

/** Shows a suspicion as the contract has it. */
export function viewOfSuspicion(suspicion: NamedSuspicion): Suspicion {
  const { vmId, vmName, vaultId, vaultName, pointId, atMs, sinceId, signals } = suspicion;
  const { cleanId, holdKey, holdProblem, clearedAtMs, clearedBy, note } = suspicion;
  return {
    ...{ vmId, vmName, vaultId, vaultName, pointId, atMs, sinceId },
    signals: [...signals],
    isHeld: holdKey !== null,
    ...(cleanId === null ? {} : { cleanId }),
    ...(holdProblem === null ? {} : { holdProblem }),
    ...(clearedAtMs === null ? {} : { clearedAtMs }),
    ...(clearedBy === null ? {} : { clearedBy }),
    ...(note === null ? {} : { note }),
  };
}
