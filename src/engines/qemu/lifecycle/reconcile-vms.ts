import { isFault } from '../../../kernel/fault.ts';
import type { VmId } from '../../engine.ts';
import { settle } from '../merge/settle.ts';
import { runningPid } from '../process/qemu-process.ts';
import { vmPaths } from '../state/vm-paths.ts';
import type { DiskState } from '../state/vm-state.ts';
import type { Claims } from '../vms/claims.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import { loadVm } from '../vms/managed-vm.ts';

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
      // Locks cost a process each: with hundreds of VMs that are off, a start would wait for them.
      if ((await isAtRest(parts, vmId)) || !(await claims.isUnheld(vmId, signal))) {
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

/**
 * Whether a VM is off and nothing of it is half done, whoever may be about to act on it. What
 * others did to its images shows when it is used.
 */
async function isAtRest({ folders }: EngineParts, vmId: VmId): Promise<boolean> {
  const paths = vmPaths(folders, vmId);
  const { state } = await loadVm(paths, vmId);
  const { started, freezeSent, holder, owedCommands, leftovers, disks } = state;
  const isOff = started === 'no' && !freezeSent && holder === undefined;
  const isTidy = owedCommands.length === 0 && leftovers.length === 0 && disks.every(isPlain);
  return isOff && isTidy && (await runningPid(paths)) === undefined;
}

function isPlain({ layers, unlogged, mergeIntent, distrusted }: DiskState): boolean {
  const isWhole = layers.length === 1 && unlogged.length === 0;
  return isWhole && mergeIntent === undefined && distrusted !== true;
}
