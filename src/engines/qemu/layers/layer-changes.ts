import type { ContentExtent } from '../../../disk/extent.ts';
import { chainUpTo } from '../state/disk-changes.ts';
import { FrozenChain } from './frozen-chain.ts';
import { diskName } from './identity-journal.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import type { DiskQuestion } from './outside-changes.ts';
import type { DiskState } from '../state/vm-state.ts';

/**
 * Writes the changes in each frozen layer to the change log, if they are not there yet. Layers may
 * be merged only after that. Does not open disks in `questions`.
 */
export async function logFrozenLayers(
  vm: ManagedVm,
  questions: readonly DiskQuestion[],
  signal: AbortSignal,
): Promise<string[]> {
  const notes: string[] = [];
  const unclear = new Set(questions.map(({ disk }) => disk.id));
  for (const { id } of vm.tracked.filter((disk) => !unclear.has(disk.id))) {
    for (;;) {
      const disk = vm.state.disks.find((candidate) => candidate.id === id);
      const [entry] = disk?.unlogged ?? [];
      if (disk === undefined || entry === undefined) {
        break;
      }
      await using chain = await FrozenChain.open(chainUpTo(disk, entry.layer), signal);
      await logLayer(vm, disk, chain, signal);
      notes.push(`logged the changes of a frozen layer of disk ${diskName(vm, disk)}`);
    }
  }
  return notes;
}

/** Logs the oldest layer of `disk` that is not logged; `chain` ends with it. */
export async function logLayer(
  vm: ManagedVm,
  disk: DiskState,
  chain: FrozenChain,
  signal: AbortSignal,
): Promise<void> {
  const [entry, ...rest] = disk.unlogged;
  if (entry === undefined) {
    return;
  }
  const { generation, previousSizeBytes, sizeBytes } = entry;
  const extents: readonly ContentExtent[] = await chain.layerExtents(signal);
  const record = { generation, previousSizeBytes, sizeBytes, extents };
  await vm.changeLog(disk).write(record);
  await vm.saveDisk({ ...disk, unlogged: rest });
}
