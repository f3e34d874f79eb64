import { dirname, join } from 'node:path';
import { lstat, readFile, rm } from '../../../kernel/files/files.ts';
import { VmDefinition } from '../../../vm/definition.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { assertNotHidden } from '../layers/leftover-proof.ts';
import { assertOursToKill } from '../layers/ownership.ts';
import { killQemu, removeRunFolder } from '../process/qemu-process.ts';
import { removeMarkers } from '../merge/unmerged.ts';
import { imagesOf } from '../state/vm-images.ts';
import { removeVmFolder } from '../state/vm-paths.ts';

const DEFINITION_BYTES_MAX = 1024 * 1024;

/**
 * Powers off and removes everything, or nothing while an image is hidden. If it is cut off, the VM
 * is still known and can be destroyed again.
 * @throws Fault `engine.image-missing`
 */
export async function destroyVm(
  parts: EngineParts,
  vm: ManagedVm,
  signal: AbortSignal,
): Promise<void> {
  const { paths, state, definition } = vm;
  await assertNotHidden(vm.state);
  // Nothing of it is kept, so it need not end in order.
  await assertOursToKill(vm);
  await killQemu(paths, signal);
  await parts.sessions.drop(definition.id);
  const layers = state.disks.flatMap((disk) => disk.layers.map(({ path }) => path));
  const images = imagesOf(definition).map(({ path }) => path);
  for (const path of new Set([...state.leftovers, ...layers.toReversed(), ...images])) {
    await rm(path, { force: true });
  }
  await removeDefinitions(definition);
  await removeMarkers(parts, vm);
  await removeRunFolder(paths);
  await removeVmFolder(paths);
  parts.log.info('engine.vm-destroyed', { vmId: definition.id });
}

/** Removes the file that a restore wrote beside the images: it would block the next restore. */
async function removeDefinitions(definition: VmDefinition): Promise<void> {
  const images = imagesOf(definition).map(({ path }) => path);
  for (const folder of new Set(images.map((path) => dirname(path)))) {
    const path = join(folder, `${definition.name}.json`);
    if (await isDefinitionOf(path, definition)) {
      await rm(path, { force: true });
    }
  }
}

/** Whether the file is a definition of exactly this VM with images of this VM only. */
async function isDefinitionOf(path: string, { id, disks }: VmDefinition): Promise<boolean> {
  try {
    const facts = await lstat(path);
    if (!facts.isFile() || facts.size > DEFINITION_BYTES_MAX) {
      return false;
    }
    const found = VmDefinition.safeParse(JSON.parse(await readFile(path, 'utf8'))).data;
    const paths = new Set(disks.map((disk) => disk.path));
    return found?.id === id && found.disks.every((disk) => paths.has(disk.path));
  } catch {
    // A file that is missing, unreadable or no definition is not ours to remove.
    return false;
  }
}
