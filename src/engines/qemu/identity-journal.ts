import { withNewHistory } from './disk-changes.ts';
import { identityOf, isUntouched } from './file-identity.ts';
import type { ManagedVm } from './managed-vm.ts';
import type { DiskState, VmState } from './vm-state.ts';

/**
 * Compares every image of a VM that is not running with what was journalled when it was last
 * closed. A disk whose images differ was touched by somebody: it gets a new line of history, so the
 * next backup reads it whole.
 *
 * @returns what to tell the operator
 */
export async function distrustTouchedDisks(vm: ManagedVm): Promise<string[]> {
  const touched = new Set<string>();
  for (const disk of vm.tracked) {
    for (const layer of disk.layers) {
      if (!(await isUntouched(layer))) {
        touched.add(disk.id);
      }
    }
  }
  if (touched.size === 0) {
    return [];
  }
  const names = vm.tracked.filter(({ id }) => touched.has(id)).map((disk) => diskName(vm, disk));
  const notes = names.map(
    (name) => `disk ${name} was changed outside; its next backup reads it whole`,
  );
  for (const disk of vm.tracked.filter(({ id }) => touched.has(id))) {
    await vm.changeLog(disk).clear();
  }
  await vm.saveDisks((disk) => (touched.has(disk.id) ? withNewHistory(disk) : disk), {
    warnings: withWarnings(vm.state, notes),
  });
  return notes;
}

/** Journals what every image is now. The top is left out while QEMU may write it. */
export async function withIdentities(vm: ManagedVm, isRunning: boolean): Promise<DiskState[]> {
  const disks: DiskState[] = [];
  for (const disk of vm.state.disks) {
    const layers = [];
    for (const [index, layer] of disk.layers.entries()) {
      const isWritable =
        isRunning && (index === disk.layers.length - 1 || disk.mergeIntent !== undefined);
      layers.push({ ...layer, identity: await identityOf(layer, isWritable) });
    }
    disks.push({ ...disk, layers });
  }
  return disks;
}

const WARNINGS_MAX = 16;

/** The newest warnings, each once. */
export function withWarnings(state: VmState, more: readonly string[]): string[] {
  return [...new Set([...state.warnings, ...more])].slice(-WARNINGS_MAX);
}

/** The name of a disk for people. */
export function diskName(vm: ManagedVm, { id }: Pick<DiskState, 'id'>): string {
  return vm.definition.disks.find((disk) => disk.id === id)?.name ?? id;
}
