import { Fault } from '../../kernel/fault.ts';
import type { VmDefinition } from '../../vm/definition.ts';
import { measuredSizes, withSizes } from './disk-sizes.ts';
import type { EngineParts } from './engine-parts.ts';
import type { ManagedVm } from './managed-vm.ts';
import { assertNoQuestion } from './outside-changes.ts';
import { removeRunFolder } from './qemu-process.ts';
import { ownerOf, settle } from './settle.ts';
import { assertMerged, mergeStopped } from './stopped-merge.ts';
import { removeMarkers } from './unmerged.ts';
import { removeVmFolder } from './vm-paths.ts';

/**
 * Puts a VM that is off back to plain disks and forgets it. A running one is refused: nothing of
 * ours could stop it afterwards. Cut off anywhere, it is still a VM of ours that starts.
 *
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
  // What was accepted since, or grown by an administrator, no freeze has measured yet.
  const definition = await withSizes(vm, await measuredSizes(vm, signal));
  await parts.step('released');
  await removeMarkers(parts, vm);
  // First the sockets: nobody may take a QEMU of this id for that of a later VM.
  await removeRunFolder(vm.paths);
  await parts.sessions.drop(ownerOf(vm).vmId);
  await removeVmFolder(vm.paths);
  parts.log.info('engine.vm-released', { vmId: vm.definition.id });
  return definition;
}
