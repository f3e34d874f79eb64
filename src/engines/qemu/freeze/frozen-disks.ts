import type { ChangeSet, TrackingState } from '../../../disk/change-set.ts';
import type { DiskReader } from '../../../disk/disk-reader.ts';
import { changesSince } from '../../change-history.ts';
import type { FreezeOptions, FrozenDisk } from '../../engine.ts';
import { frozenChain } from '../state/disk-changes.ts';
import type { FrozenChain } from '../layers/frozen-chain.ts';
import { diskName } from '../layers/identity-journal.ts';
import { logFrozenLayers, logLayer } from '../layers/layer-changes.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { NVRAM, type DiskState } from '../state/vm-state.ts';
import type { FrozenUse } from './frozen-use.ts';

/** Opens what the newest freeze of every disk froze, and logs what changed in it. */
export async function openFrozenDisks(
  vm: ManagedVm,
  use: FrozenUse,
  needed: FreezeOptions['neededGenerations'],
  signal: AbortSignal,
): Promise<FrozenDisk[]> {
  const disks: FrozenDisk[] = [];
  for (const { id } of vm.tracked.filter((disk) => disk.id !== NVRAM)) {
    const chain = await use.open(frozenChain(diskOf(vm, id)), signal);
    await logNewest(vm, diskOf(vm, id), chain, signal);
    await vm.changeLog(diskOf(vm, id)).prune(needed?.[id] ?? 0);
    disks.push(frozenDisk(vm, diskOf(vm, id), use.watch.guard(chain.reader)));
  }
  return disks;
}

async function logNewest(
  vm: ManagedVm,
  disk: DiskState,
  chain: FrozenChain,
  signal: AbortSignal,
): Promise<void> {
  if (disk.unlogged.length === 1) {
    // The usual case: the layer to log is the top of the chain, which is open anyway.
    await logLayer(vm, disk, chain, signal);
  } else {
    await logFrozenLayers(vm, [], signal);
  }
}

function frozenDisk(vm: ManagedVm, disk: DiskState, reader: DiskReader): FrozenDisk {
  const tracking: TrackingState = { id: disk.trackingId, generation: disk.generation };
  const log = vm.changeLog(disk);
  return {
    diskId: disk.id,
    name: diskName(vm, disk),
    sizeBytes: disk.frozenSizeBytes,
    tracking,
    reader,
    changedSince: async (state): Promise<ChangeSet> =>
      changesSince(state, tracking, async (generation) => log.read(generation)),
  };
}

function diskOf(vm: ManagedVm, id: string): DiskState {
  const found = vm.state.disks.find((disk) => disk.id === id);
  if (found === undefined) {
    throw new RangeError(`no disk ${id}`);
  }
  return found;
}
