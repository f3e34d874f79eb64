import { isFault } from '../../../kernel/fault.ts';
import type { VmId } from '../../engine.ts';
import { settle } from '../merge/settle.ts';
import type { Claims } from '../vms/claims.ts';
import type { EngineParts } from '../vms/engine-parts.ts';

interface Reconciled {
  /** What was done, for people. */
  readonly said: readonly string[];
  /** VMs whose guests are still owed commands. */
  readonly owing: readonly VmId[];
}

/** Repairs what a crash left behind of each VM that nobody holds. */
export async function reconcileVms(
  parts: EngineParts,
  claims: Claims,
  vmIds: readonly VmId[],
  signal: AbortSignal,
): Promise<Reconciled> {
  const said: string[] = [];
  const owing: VmId[] = [];
  for (const vmId of vmIds) {
    try {
      if (!(await claims.isUnheld(vmId, signal))) {
        continue;
      }
      await using managed = await claims.open(vmId, signal);
      if ((await managed.dropHolder()) !== undefined) {
        said.push(`${managed.name}: a freeze whose job has ended was given up`);
      }
      const { session, repairs } = await settle(parts, managed, { mayMerge: true }, signal);
      said.push(...repairs.map((repair) => `${managed.name}: ${repair}`));
      if (session === undefined) {
        parts.mergeLater(vmId);
      }
      if (managed.state.owedCommands.length > 0) {
        owing.push(vmId);
      }
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
  return { said, owing };
}
