import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from '../../kernel/durable-file.ts';
import type { VmDefinition } from '../../vm/definition.ts';
import type { EngineParts } from './engine-parts.ts';
import type { ManagedVm } from './managed-vm.ts';
import { removeLeftovers } from './merge.ts';
import { assertNoQuestion } from './outside-changes.ts';
import { quitQemu, removeRunFolder } from './qemu-process.ts';
import { releaseDisk } from './release-disk.ts';
import { ownerOf, settle } from './settle.ts';
import { launch } from './start-stop.ts';

/**
 * Puts a VM back to plain disks and forgets it. A running VM goes on running; its sockets stay in
 * its run folder. Cut off anywhere, it is still a VM of ours that starts, with as many disks put
 * back as were done.
 */
export async function releaseVm(
  parts: EngineParts,
  vm: ManagedVm,
  signal: AbortSignal,
): Promise<VmDefinition> {
  const { session: running, questions } = await settle(parts, vm, { mayMerge: true }, signal);
  assertNoQuestion(vm, questions);
  if (vm.tracked.some(({ layers }) => layers.length > 1)) {
    // Only QEMU puts layers together, also for a VM that is powered off: it is started for that alone.
    const session = running ?? (await launch(parts, vm, 'maintenance', signal));
    for (const disk of vm.tracked.filter(({ layers }) => layers.length > 1)) {
      await releaseDisk(parts, vm, { qmp: session.qmp, disk }, signal);
    }
    if (running === undefined) {
      await quitQemu(vm.paths, session.qmp, signal);
      await removeRunFolder(vm.paths);
    }
  }
  await parts.step('released');
  await removeLeftovers(vm);
  await parts.sessions.drop(ownerOf(vm).vmId);
  await rm(vm.paths.folder, { recursive: true, force: true });
  await syncFolder(dirname(vm.paths.folder));
  parts.log.info('engine.vm-released', { vmId: vm.definition.id });
  return vm.definition;
}
