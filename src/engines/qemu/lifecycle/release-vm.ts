import { Fault } from '../../../kernel/fault.ts';
import type { VmDefinition } from '../../../vm/definition.ts';
import { measuredSizes, withSizes } from '../layers/disk-sizes.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { assertNoQuestion } from '../layers/outside-changes.ts';
import { removeRunFolder } from '../process/qemu-process.ts';
import { ownerOf, settle } from '../merge/settle.ts';
import { assertMerged, mergeStopped } from '../merge/stopped-merge.ts';
import { removeMarkers } from '../merge/unmerged.ts';
import { removeVmFolder } from '../state/vm-paths.ts';

/**
 * Turns a powered-off VM back into plain disks and forgets it. Refuses a running one: without us
 * nothing could stop it afterwards. If it is cut off, the VM is still known and starts.
 * @throws Fault `engine.vm-running`, `engine.base-replaced`, `engine.merge-failed`
 */
export async function releaseVm(
  parts: EngineParts,
  vm: ManagedVm,
  usedByOthers: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<VmDefinition> {
  const { session, questions } = await settle(parts, vm, { mayMerge: false }, signal);
  if (session !== undefined) {
    throw new Fault(
      'engine.vm-running',
      `${vm.name} is running, and nothing could stop it after a release. ` +
        `Stop it first: hyperkeep vm stop ${vm.name} --wait`,
      { vmId: vm.definition.id },
    );
  }
  assertNoQuestion(vm, questions);
  await mergeStopped(parts, vm, usedByOthers, signal);
  assertMerged(vm);
  // No freeze has measured disks that were accepted, or that an administrator has grown, since.
  const definition = await withSizes(vm, await measuredSizes(vm, signal));
  await parts.step('released');
  await removeMarkers(parts, vm);
  // Sockets first: nobody may take a QEMU of this id for that of a later VM.
  await removeRunFolder(vm.paths);
  await parts.sessions.drop(ownerOf(vm).vmId);
  await removeVmFolder(vm.paths);
  parts.log.info('engine.vm-released', { vmId: vm.definition.id });
  return definition;
}
