import { dirname } from 'node:path';
import { createOverlay } from '../../../formats/qemu-img.ts';
import { PRIVATE_FILE_MODE } from '../../../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../../../kernel/fault.ts';
import { lstat, open } from '../../../kernel/files/files.ts';
import { plannedLayer, withPlanned } from '../state/disk-changes.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import { diskName } from './identity-journal.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { makeDurable } from './layer-files.ts';
import { freeBytes } from '../process/sessions.ts';
import { topOf, type DiskState, type Layer } from '../state/vm-state.ts';

/** An overlay that can be put on top of a disk. */
export interface PlannedOverlay {
  /** The disk before that. */
  readonly disk: DiskState;
  readonly layer: Layer;
  readonly sizeBytes: number;
}

/**
 * Makes an empty overlay for each of `disks`. The state file names them first, so that whatever is
 * made is also removed. Durable when it returns.
 *
 * @param sizeOf returns the present virtual size of a disk
 */
export async function makeOverlays(
  parts: EngineParts,
  vm: ManagedVm,
  disks: readonly { readonly id: string; readonly sizeBytes: number }[],
  signal: AbortSignal,
): Promise<PlannedOverlay[]> {
  const sizes = new Map(disks.map(({ id, sizeBytes }) => [id, sizeBytes]));
  const planned: PlannedOverlay[] = [];
  for (const disk of vm.tracked.filter(({ id }) => sizes.has(id))) {
    const layer = await freeLayer(disk);
    planned.push({ disk, layer, sizeBytes: sizes.get(disk.id) ?? 0 });
  }
  const numbers = new Map(planned.map(({ disk, layer }) => [disk.id, layer.number]));
  await vm.saveDisks((disk) => withPlanned(disk, numbers.get(disk.id)), {
    leftovers: [...vm.state.leftovers, ...planned.map(({ layer }) => layer.path)],
  });
  await parts.step('overlays-planned');
  const made = await Promise.allSettled(
    planned.map(async (overlay) => makeOverlay(overlay, signal)),
  );
  const failed = made.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) {
    await keepFilesOfOthers(vm, planned, made);
    throw failed.reason;
  }
  await parts.step('overlays-made');
  return planned;
}

/** A file that somebody else put under a planned name since we looked is no leftover of ours. */
async function keepFilesOfOthers(
  vm: ManagedVm,
  planned: readonly PlannedOverlay[],
  made: readonly PromiseSettledResult<void>[],
): Promise<void> {
  const others = planned.filter((_, index) => {
    const outcome = made[index];
    return outcome?.status === 'rejected' && systemCode(outcome.reason) === 'EEXIST';
  });
  const paths = new Set(others.map(({ layer }) => layer.path));
  await vm.save({ leftovers: vm.state.leftovers.filter((path) => !paths.has(path)) });
}

/** Returns the next layer whose name is unused: an existing file is not ours, and stays. */
async function freeLayer(disk: DiskState): Promise<Layer> {
  for (let number = disk.nextLayer; ; number += 1) {
    const layer = plannedLayer(disk, number);
    if (!(await exists(layer.path))) {
      return layer;
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => {
      if (systemCode(error) === 'ENOENT') {
        return false;
      }
      throw error;
    },
  );
}

async function makeOverlay(
  { disk, layer, sizeBytes }: PlannedOverlay,
  signal: AbortSignal,
): Promise<void> {
  const { path, format } = topOf(disk);
  // Made here or not at all: qemu-img would overwrite a file that somebody put there since we
  // looked.
  const file = await open(layer.path, 'wx', PRIVATE_FILE_MODE);
  await file.close();
  await createOverlay({ path: layer.path, backing: { path, format }, sizeBytes }, signal);
  await makeDurable(layer.path);
}

/**
 * Checks that there is room: a freeze makes the disks grow until they are merged.
 *
 * @throws Fault `host.disk-full`, before anything is done
 */
export async function assertRoom(parts: EngineParts, vm: ManagedVm): Promise<void> {
  for (const disk of vm.tracked) {
    const folder = dirname(topOf(disk).path);
    const free = await freeBytes(folder);
    if (free < parts.limits.freeBytesMin) {
      throw new Fault(
        'host.disk-full',
        `Only ${free} bytes are free in ${folder}, beside disk ${diskName(vm, disk)} of ${vm.name}; ` +
          `a snapshot needs ${parts.limits.freeBytesMin}. Free some space and repeat.`,
        { folder, freeBytes: free },
      );
    }
  }
}
