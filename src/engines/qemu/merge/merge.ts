import { Fault, isFault } from '../../../kernel/fault.ts';
import { factsOf, diskFacts, removeNodes } from '../process/block-graph.ts';
import { concludeJob, cancelJob, findJob } from '../process/block-jobs.ts';
import { frozenLayers, withMerged, withMergeIntent } from '../state/disk-changes.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import { identityOf, signsOf } from '../state/file-identity.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { nodeName } from '../process/node-graph.ts';
import { makeDurable, removeLeftovers } from '../layers/layer-files.ts';
import { questionOf } from '../layers/outside-changes.ts';
import type { QmpClient } from '../qmp/qmp-client.ts';
import { baseOf, topOf, type DiskState, type Layer } from '../state/vm-state.ts';

/**
 * Merges the frozen layers of every disk into its base by an intermediate `block-commit`. The guest
 * does not notice it, and it may be cut off and begun again at any moment, because the frozen
 * layers stay complete until the base is durable.
 *
 * Merges only layers whose changes are in the change log; nobody may be reading them.
 *
 * @returns names of the disks that were merged
 * @throws Fault `engine.merge-failed`; everything is as before then
 */
export async function mergeFrozenLayers(
  parts: EngineParts,
  vm: ManagedVm,
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<string[]> {
  const merged: string[] = [];
  for (const { id } of vm.tracked) {
    const disk = vm.state.disks.find((candidate) => candidate.id === id);
    if (disk === undefined || frozenLayers(disk).length === 0 || disk.unlogged.length > 0) {
      continue;
    }
    // Never merges into a file other than the one that the layers were made on.
    if ((await questionOf(disk)) !== undefined) {
      continue;
    }
    await mergeDisk(parts, vm, { qmp, disk }, signal);
    merged.push(id);
  }
  return merged;
}

function commitJobId(disk: DiskState): string {
  return `merge-${disk.index}`;
}

async function mergeDisk(
  parts: EngineParts,
  vm: ManagedVm,
  { qmp, disk }: { readonly qmp: QmpClient; readonly disk: DiskState },
  signal: AbortSignal,
): Promise<void> {
  const base = baseOf(disk);
  const topmost = frozenLayers(disk).at(-1);
  if (topmost === undefined) {
    return;
  }
  // From here on the base changes, so only device and inode identify it.
  const open = { ...base, identity: await identityOf(base, true) };
  const before = disk.mergeIntent?.base ?? base.identity ?? open.identity;
  await vm.saveDisk({
    ...withMergeIntent(disk, topmost, before),
    layers: [open, ...disk.layers.slice(1)],
  });
  await parts.step('merge-announced');
  await commit(parts, { qmp, disk }, signal);
  await parts.step('merge-committed');
  if (await isReplaced(open)) {
    throw new Fault('engine.merge-failed', `A layer was merged, but ${replacedText(base)}.`, {
      path: base.path,
    });
  }
  await makeDurable(base.path);
  const frozen = frozenLayers(disk);
  const kept = { ...open, identity: await identityOf(base, false) };
  await vm.saveDisk(withMerged(disk, kept), {
    leftovers: [...vm.state.leftovers, ...frozen.map(({ path }) => path)],
  });
  await parts.step('merge-saved');
  for (const layer of frozen.toReversed()) {
    await removeNodes(qmp, disk, layer, signal);
  }
  await parts.step('merge-closed');
  await removeLeftovers(vm);
}

/** Runs the commit, or waits for the one that an earlier service began. */
async function commit(
  parts: EngineParts,
  { qmp, disk }: { readonly qmp: QmpClient; readonly disk: DiskState },
  signal: AbortSignal,
): Promise<void> {
  const id = commitJobId(disk);
  const frozen = frozenLayers(disk).at(-1);
  try {
    if ((await findJob(qmp, id, signal)) !== undefined) {
      await concludeJob(qmp, id, signal);
    }
    const { depth } = factsOf(await diskFacts(qmp, signal), disk);
    if (depth > 1 && frozen !== undefined) {
      await qmp.execute(
        'block-commit',
        {
          'job-id': id,
          device: nodeName(disk, topOf(disk)),
          'top-node': nodeName(disk, frozen),
          'base-node': nodeName(disk, baseOf(disk)),
          // An absolute path, because QEMU writes the name as it is given.
          'backing-file': baseOf(disk).path,
          'auto-dismiss': false,
          speed: 0,
          // `enospc` would pause the job for ever; an error leaves everything as it was.
          'on-error': 'report',
        },
        signal,
      );
      await parts.step('merge-started');
      await concludeJob(qmp, id, signal);
    }
  } catch (error) {
    if (signal.aborted) {
      // The VM is about to stop: an interrupted commit is issued again later.
      await cancelJob(qmp, id, AbortSignal.timeout(10_000)).catch(() => undefined);
    }
    throw error;
  }
}

/** Whether another file is where QEMU opened the base: what was merged is not in it. */
export async function isReplaced(base: Layer): Promise<boolean> {
  return signsOf(base).then(
    (signs) => signs.includes('inode'),
    (error: unknown) => {
      if (isFault(error, 'engine.image-missing')) {
        return true;
      }
      throw error;
    },
  );
}

export function replacedText({ path }: Layer): string {
  return `${path} was replaced meanwhile; all layers are kept`;
}
