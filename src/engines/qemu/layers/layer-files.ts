import { dirname } from 'node:path';
import { syncFolder } from '../../../kernel/files/durable-file.ts';
import { open, rm } from '../../../kernel/files/files.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { isFolderOfImages, isOverlayOfOurs } from './leftover-proof.ts';

/** Flushes the file, including what other processes wrote to it. */
export async function makeDurable(path: string): Promise<void> {
  {
    await using file = await open(path, 'r');
    await file.datasync();
  }
  await syncFolder(dirname(path));
}

/**
 * Removes files that are no longer layers, or never were. Those in a folder that is hidden now stay
 * on the list.
 */
export async function removeLeftovers(vm: ManagedVm): Promise<void> {
  if (vm.state.leftovers.length === 0) {
    return;
  }
  const inUse = new Set(vm.state.disks.flatMap(({ layers }) => layers.map(({ path }) => path)));
  const folders = new Set<string>();
  const hidden: string[] = [];
  for (const path of vm.state.leftovers) {
    if (!(await isFolderOfImages(path, vm.state))) {
      hidden.push(path);
    } else if (!inUse.has(path) && (await isOverlayOfOurs(path, vm.state))) {
      await rm(path, { force: true });
      folders.add(dirname(path));
    }
  }
  for (const folder of folders) {
    await syncFolder(folder);
  }
  await vm.save({ leftovers: hidden });
}
