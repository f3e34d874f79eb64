import { imageFacts } from '../../formats/qemu-img.ts';
import { isFault } from '../../kernel/fault.ts';
import type { VmDefinition } from '../../vm/definition.ts';
import type { ManagedVm } from './managed-vm.ts';
import { storeDefinition } from './vm-images.ts';
import { topOf } from './vm-state.ts';

/** The definition with the sizes that disks have now, by disk id; it is kept so. */
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

/** Of a VM that is off, excluded disks too. */
export async function measuredSizes(
  { state }: ManagedVm,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const disk of state.disks) {
    const facts = await imageFacts(topOf(disk), signal).catch((error: unknown) => {
      // An excluded disk may be gone; it is nobody's recovery point.
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
