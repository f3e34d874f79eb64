import type { ChangeSet, TrackingState } from '../../../disk/change-set.ts';
import { DiskReader } from '../../../disk/disk-reader.ts';
import type { ContentExtent, Extent } from '../../../disk/extent.ts';
import { changesSince } from '../../change-history.ts';
import type { FrozenDisk } from '../../engine.ts';
import { frozenChain } from '../state/disk-changes.ts';
import { FrozenChain } from '../layers/frozen-chain.ts';
import { diskName } from '../layers/identity-journal.ts';
import { logFrozenLayers, logLayer } from '../layers/layer-changes.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { NVRAM, type DiskState } from '../state/vm-state.ts';

/** Opens what the newest freeze of every disk froze, and logs what changed in it. */
export async function openFrozenDisks(
  vm: ManagedVm,
  needed: Readonly<Record<string, number>>,
  signal: AbortSignal,
): Promise<{ readonly disks: FrozenDisk[]; readonly chains: FrozenChain[] }> {
  const chains: FrozenChain[] = [];
  try {
    const disks: FrozenDisk[] = [];
    for (const { id } of vm.tracked.filter((disk) => disk.id !== NVRAM)) {
      const chain = await FrozenChain.open(frozenChain(diskOf(vm, id)), signal);
      chains.push(chain);
      await logNewest(vm, diskOf(vm, id), chain, signal);
      const neededGeneration = needed[id];
      const log = vm.changeLog(diskOf(vm, id));
      await log.prune(neededGeneration ?? 0);
      disks.push(frozenDisk(vm, diskOf(vm, id), chain));
    }
    return { disks, chains };
  } catch (error) {
    await Promise.all(chains.map(async (chain) => chain.close()));
    throw error;
  }
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

function frozenDisk(vm: ManagedVm, disk: DiskState, chain: FrozenChain): FrozenDisk {
  const tracking: TrackingState = { id: disk.trackingId, generation: disk.generation };
  const log = vm.changeLog(disk);
  return {
    diskId: disk.id,
    name: diskName(vm, disk),
    sizeBytes: disk.frozenSizeBytes,
    tracking,
    reader: chain.reader,
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

/** A reader that fails once the frozen state must no longer be used. */
export class RevocableReader extends DiskReader {
  override readonly size: number;
  private readonly source: DiskReader;
  private readonly revoked: AbortSignal;

  constructor(source: DiskReader, revoked: AbortSignal) {
    super();
    this.size = source.size;
    this.source = source;
    this.revoked = revoked;
  }

  override async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    this.revoked.throwIfAborted();
    await this.source.read(offset, target, signal);
  }

  override async *extents(signal: AbortSignal, within?: Extent): AsyncIterable<ContentExtent> {
    this.revoked.throwIfAborted();
    yield* this.source.extents(signal, within);
  }

  override async close(): Promise<void> {
    await this.source.close();
  }
}
