import { imageFacts } from '../../../formats/qemu-img.ts';
import { withFrozenTop } from '../state/disk-changes.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import { identityOf } from '../state/file-identity.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { makeDurable } from './layer-files.ts';
import { topOf, type DiskState } from '../state/vm-state.ts';

/**
 * Freezes a powered-off VM: its present state becomes the next generation, and the next start
 * writes to a new layer. Makes no files, and leaves a disk as it is that was not written since the
 * last freeze: hourly backups of an idle VM make no chain grow.
 */
export async function freezeStopped(
  parts: EngineParts,
  vm: ManagedVm,
  holder: string,
  signal: AbortSignal,
): Promise<void> {
  const disks: DiskState[] = [];
  for (const disk of vm.state.disks) {
    disks.push(disk.excluded ? disk : await frozen(disk, signal));
  }
  await vm.save({ disks, holder });
  await parts.step('frozen-saved');
}

/**
 * Returns the disk with all its layers in the newest generation. A disk without changes stays as it
 * is.
 */
export async function frozen(disk: DiskState, signal: AbortSignal): Promise<DiskState> {
  // A disk with a new history gets its first generation even if nothing was written.
  if (disk.topUntouched && disk.generation > 0) {
    return disk;
  }
  const top = topOf(disk);
  // What a killed QEMU left in caches must be on the disk before it counts as backed up.
  await makeDurable(top.path);
  const { virtualSize } = await imageFacts(top, signal);
  const identity =
    top.identity?.settled === undefined ? await identityOf(top, false) : top.identity;
  const layers = [...disk.layers.slice(0, -1), { ...top, identity }];
  return withFrozenTop({ ...disk, layers }, virtualSize);
}
