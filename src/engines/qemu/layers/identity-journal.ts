import { identityOf } from '../state/file-identity.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import {
  WARNINGS_MAX,
  type DiskState,
  type FileIdentity,
  type Layer,
  type VmState,
} from '../state/vm-state.ts';

/**
 * Journals the identity of every image whose journal was open because QEMU was writing it. Settled
 * journals stay, so that a change made meanwhile is still detected, and so does the journal of a
 * file that is not the one that was opened. The top stays open while QEMU may write it.
 *
 * @param asked paths of layers with an open question: their journal stays
 */
export async function withIdentities(
  vm: ManagedVm,
  isRunning: boolean,
  asked: ReadonlySet<string> = new Set(),
): Promise<DiskState[]> {
  const disks: DiskState[] = [];
  for (const disk of vm.state.disks) {
    const layers: Layer[] = [];
    for (const [index, layer] of disk.layers.entries()) {
      const isWritable =
        isRunning && (index === disk.layers.length - 1 || disk.mergeIntent !== undefined);
      const identity = asked.has(layer.path) ? layer.identity : await journalled(layer, isWritable);
      layers.push({ ...layer, identity });
    }
    disks.push({ ...disk, layers });
  }
  return disks;
}

async function journalled(layer: Layer, isWritable: boolean): Promise<FileIdentity> {
  const { identity: was } = layer;
  if (was?.settled !== undefined && !isWritable) {
    return was;
  }
  const is = await identityOf(layer, isWritable);
  const isSame = was === undefined || (was.device === is.device && was.inode === is.inode);
  return isSame ? is : was;
}

/** Returns the newest warnings, each once. */
export function withWarnings(state: VmState, more: readonly string[]): string[] {
  return [...new Set([...state.warnings, ...more])].slice(-WARNINGS_MAX);
}

/** Returns the name of a disk, for people. */
export function diskName(vm: ManagedVm, { id }: Pick<DiskState, 'id'>): string {
  return vm.definition.disks.find((disk) => disk.id === id)?.name ?? id;
}
