import { imageFacts } from '../../../formats/qemu-img.ts';
import { isFault } from '../../../kernel/fault.ts';
import type { VmDefinition } from '../../../vm/definition.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { storeDefinition } from '../state/vm-images.ts';
import { topOf } from '../state/vm-state.ts';

/** Returns the definition with the present sizes of disks, by disk id, and stores it. */
export async function withSizes(
  vm: ManagedVm,
  sizes: ReadonlyMap<string, number>,
): Promise<VmDefinition> {
  const disks = vm.definition.disks.map((disk) => ({
    ...disk,
    sizeBytes: sizes.get(disk.id) ?? disk.sizeBytes,
  }));
  const hasGrown = disks.some((disk, i) => disk.sizeBytes !== vm.definition.disks[i]?.sizeBytes);
  if (hasGrown) {
    const definition = { ...vm.definition, disks };
    await storeDefinition(vm.paths.definition, definition);
    vm.describe(definition);
  }
  return vm.definition;
}

/** Measures the disks of a powered-off VM, excluded ones too. */
export async function measuredSizes(
  { state }: ManagedVm,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const disk of state.disks) {
    const facts = await imageFacts(topOf(disk), signal).catch((error: unknown) => {
      // An excluded disk may be gone; no recovery point has it.
      if (disk.excluded && isFault(error, 'formats.image-missing')) {
        return undefined;
      }
      throw error;
    });
    if (facts !== undefined) {
      sizes.set(disk.id, facts.virtualSize);
    }
  }
  return sizes;
}
