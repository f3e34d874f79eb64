import { dirname } from 'node:path';
import { syncFolder } from '../../kernel/durable-file.ts';
import { rm } from '../../kernel/files.ts';
import { imagesOf } from './add-vm.ts';
import type { EngineParts } from './engine-parts.ts';
import type { ManagedVm } from './managed-vm.ts';
import { assertOursToKill } from './ownership.ts';
import { killQemu, removeRunFolder } from './qemu-process.ts';
import { removeMarkers } from './unmerged.ts';

/** Powers off and removes everything. Cut off anywhere, the VM is still known and can be destroyed again. */
export async function destroyVm(
  parts: EngineParts,
  vm: ManagedVm,
  signal: AbortSignal,
): Promise<void> {
  const { paths, state, definition } = vm;
  // Nothing of it is to be kept, so it need not end in order.
  await assertOursToKill(vm);
  await killQemu(paths, signal);
  await parts.sessions.drop(definition.id);
  const layers = state.disks.flatMap((disk) => disk.layers.map(({ path }) => path));
  const images = imagesOf(definition).map(({ path }) => path);
  for (const path of new Set([...state.leftovers, ...layers.toReversed(), ...images])) {
    await rm(path, { force: true });
  }
  await removeMarkers(parts, vm);
  await removeRunFolder(paths);
  await rm(paths.folder, { recursive: true, force: true });
  await syncFolder(dirname(paths.folder));
  parts.log.info('engine.vm-destroyed', { vmId: definition.id });
}
