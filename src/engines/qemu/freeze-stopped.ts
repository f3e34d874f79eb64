import { withNewTop } from './disk-changes.ts';
import type { EngineParts } from './engine-parts.ts';
import { identityOf } from './file-identity.ts';
import type { ManagedVm } from './managed-vm.ts';
import { makeDurable } from './merge.ts';
import { makeOverlays } from './overlay-files.ts';
import { imageFacts } from '../../formats/qemu-img.ts';
import { topOf, type DiskState } from './vm-state.ts';

/**
 * Freezes a VM that is powered off: the next start will write to a new layer. A disk that was not
 * written to since the freeze before stays as it is, so backing up an idle VM every hour makes no
 * chain grow. Layers are never merged here, but at the next start, by the QEMU that knows the graph.
 */
export async function freezeStopped(
  parts: EngineParts,
  vm: ManagedVm,
  holder: string,
  signal: AbortSignal,
): Promise<void> {
  const written = vm.tracked.filter((disk) => !disk.topUntouched);
  const sizes: { id: string; sizeBytes: number }[] = [];
  for (const disk of written) {
    const top = topOf(disk);
    // Whatever a killed QEMU left in caches must be on the disk before it counts as backed up.
    await makeDurable(top.path);
    const { virtualSize } = await imageFacts(top, signal);
    sizes.push({ id: disk.id, sizeBytes: virtualSize });
  }
  const overlays = await makeOverlays(parts, vm, sizes, signal);
  const byDisk = new Map(overlays.map((overlay) => [overlay.disk.id, overlay]));
  const tops: DiskState[] = [];
  for (const disk of vm.state.disks) {
    const overlay = byDisk.get(disk.id);
    if (overlay === undefined) {
      tops.push(disk.excluded ? disk : await withGeneration(disk, signal));
      continue;
    }
    const layer = { ...overlay.layer, identity: await identityOf(overlay.layer, false) };
    tops.push({ ...withNewTop(disk, layer, overlay.sizeBytes), topUntouched: true });
  }
  const paths = new Set(overlays.map(({ layer }) => layer.path));
  await vm.save({
    disks: tops,
    holder,
    leftovers: vm.state.leftovers.filter((path) => !paths.has(path)),
  });
  await parts.step('frozen-saved');
}

/** A disk with a new line of history gets its first generation even when nothing was written. */
async function withGeneration(disk: DiskState, signal: AbortSignal): Promise<DiskState> {
  if (disk.generation > 0) {
    return disk;
  }
  const { virtualSize } = await imageFacts(topOf(disk), signal);
  return { ...disk, generation: 1, frozenSizeBytes: virtualSize };
}
