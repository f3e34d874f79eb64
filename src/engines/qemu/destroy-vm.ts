import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from '../../kernel/durable-file.ts';
import { imagesOf } from './add-vm.ts';
import type { EngineParts } from './engine-parts.ts';
import type { ManagedVm } from './managed-vm.ts';
import { quitQemu, removeRunFolder, runningPid } from './qemu-process.ts';
import { ownerOf } from './settle.ts';

/** Powers off and removes everything. Cut off anywhere, the VM is still known and can be destroyed again. */
export async function destroyVm(
  parts: EngineParts,
  vm: ManagedVm,
  signal: AbortSignal,
): Promise<void> {
  const { paths, state, definition } = vm;
  if ((await runningPid(paths)) !== undefined) {
    const session = await parts.sessions.get(ownerOf(vm), signal);
    await quitQemu(paths, session.qmp, signal);
  }
  await parts.sessions.drop(definition.id);
  const layers = state.disks.flatMap((disk) => disk.layers.map(({ path }) => path));
  const images = imagesOf(definition).map(({ path }) => path);
  for (const path of new Set([...state.leftovers, ...layers.toReversed(), ...images])) {
    await rm(path, { force: true });
  }
  await removeRunFolder(paths);
  await rm(paths.folder, { recursive: true, force: true });
  await syncFolder(dirname(paths.folder));
  parts.log.info('engine.vm-destroyed', { vmId: definition.id });
}
