import { isFault } from '../../../kernel/fault.ts';
import type { VmId } from '../../engine.ts';
import { settle } from '../merge/settle.ts';
import type { Claims } from '../vms/claims.ts';
import type { EngineParts } from '../vms/engine-parts.ts';

/** Repairs VMs that nobody holds. @returns what was done, for people */
export async function reconcileVms(
  vmIds: readonly VmId[],
  claims: Claims,
  parts: EngineParts,
  signal: AbortSignal,
): Promise<string[]> {
  const said: string[] = [];
  for (const vmId of vmIds) {
    try {
      said.push(...(await reconcile(vmId, claims, parts, signal)));
    } catch (error) {
      // A VM that cannot be repaired must not keep the others from it; it reports that itself.
      signal.throwIfAborted();
      if (!isFault(error)) {
        throw error;
      }
      said.push(`${vmId}: ${error.message}`);
      parts.log.error('engine.not-reconciled', { vmId, code: error.code });
    }
  }
  return said;
}

async function reconcile(
  vmId: VmId,
  claims: Claims,
  parts: EngineParts,
  signal: AbortSignal,
): Promise<string[]> {
  if (!(await claims.isUnheld(vmId, signal))) {
    return [];
  }
  await using managed = await claims.open(vmId, signal);
  const said: string[] = [];
  if ((await managed.dropHolder()) !== undefined) {
    said.push(`${managed.name}: a freeze whose job has ended was given up`);
  }
  const { session, repairs } = await settle(parts, managed, { mayMerge: true }, signal);
  said.push(...repairs.map((repair) => `${managed.name}: ${repair}`));
  if (session === undefined) {
    parts.mergeLater(vmId);
  }
  return said;
}
