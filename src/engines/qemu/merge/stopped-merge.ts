import { Fault, isFault } from '../../../kernel/fault.ts';
import { concludeJob, waitForJob } from '../process/block-jobs.ts';
import { withMergeIntent, withOneLayer } from '../state/disk-changes.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import { identityOf } from '../state/file-identity.ts';
import { frozen } from '../layers/freeze-stopped.ts';
import { withIdentities } from '../layers/identity-journal.ts';
import { logFrozenLayers } from '../layers/layer-changes.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { isReplaced, replacedText } from './merge.ts';
import { makeDurable, removeLeftovers } from '../layers/layer-files.ts';
import { nodeName } from '../process/node-graph.ts';
import { endMaintenance, launchMaintenance, removeRunFolder } from '../process/qemu-process.ts';
import type { QmpClient } from '../qmp/qmp-client.ts';
import { markUnmerged } from './unmerged.ts';
import { Room, whyUnmergeable } from './unmergeable.ts';
import { baseOf, fittingWhy, topOf, type DiskState, type VmState } from '../state/vm-state.ts';

/** How long a QEMU that has merged may take to flush and close its images. */
const CLOSE_MS_MAX = 10 * 60 * 1000;
/** How long it may take if a start, or the end of the service, waits for it. */
const GIVE_UP_MS_MAX = 2_000;

/**
 * Merges each disk of a settled, powered-off VM into one file, so that the file at its path is the
 * disk. Nobody may be reading it.
 *
 * The order of lines is the safety argument. The change log has what the layers changed before any
 * of it goes into the base; the state file says that the base is being changed before it is; and
 * the layers stay complete until the base is durable and the state file names it alone. If it is
 * cut off, the chain is the same disk, and the merge is repeated. For a disk that cannot be merged,
 * the state file says why.
 *
 * @param usedByOthers files of other VMs
 */
export async function mergeStopped(
  parts: EngineParts,
  vm: ManagedVm,
  usedByOthers: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const ids = await chooseDisks(parts, vm, usedByOthers, signal);
  if (ids.size > 0) {
    await freezeAndLog(parts, vm, ids, signal);
    await announce(vm, ids);
    await parts.step('stopped-merge-announced');
    await mergeChosen(parts, vm, ids, signal);
    await removeLeftovers(vm);
    await parts.step('stopped-merge-unlinked');
  }
  await markUnmerged(parts, vm);
}

/** Returns the disks that may be merged now; saves why the others may not. */
async function chooseDisks(
  parts: EngineParts,
  vm: ManagedVm,
  usedByOthers: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Set<string>> {
  const reasons = new Map<string, string | undefined>();
  const room = new Room(parts.limits.freeBytesMin);
  for (const disk of vm.tracked.filter(({ layers }) => layers.length > 1)) {
    const why = (await whyUnmergeable(disk, usedByOthers, signal)) ?? (await room.whyNot(disk));
    reasons.set(disk.id, why === undefined ? why : fittingWhy(why));
  }
  if (vm.tracked.some(({ id, whyUnmerged }) => whyUnmerged !== reasons.get(id))) {
    await vm.saveDisks((disk) => ({ ...disk, whyUnmerged: reasons.get(disk.id) }));
  }
  return new Set([...reasons].filter(([, why]) => why === undefined).map(([id]) => id));
}

/** The active overlay was never frozen: logs what it changed before the base changes. */
async function freezeAndLog(
  parts: EngineParts,
  vm: ManagedVm,
  ids: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const disks: DiskState[] = [];
  for (const disk of vm.state.disks) {
    disks.push(ids.has(disk.id) ? await frozen(disk, signal) : disk);
  }
  await vm.save({ disks });
  await parts.step('stopped-frozen');
  await logFrozenLayers(vm, [], signal);
  await parts.step('stopped-logged');
}

/** From here on the bases change, so only device and inode identify them. */
async function announce(vm: ManagedVm, ids: ReadonlySet<string>): Promise<void> {
  const disks: DiskState[] = [];
  for (const disk of vm.state.disks) {
    if (!ids.has(disk.id)) {
      disks.push({ ...disk, mergeIntent: undefined });
      continue;
    }
    const base = baseOf(disk);
    const open = await identityOf(base, true);
    const before = disk.mergeIntent?.base ?? base.identity ?? open;
    const layers = [{ ...base, identity: open }, ...disk.layers.slice(1)];
    disks.push({ ...withMergeIntent(disk, topOf(disk), before), layers });
  }
  await vm.save({ disks, started: 'maintenance' });
}

async function mergeChosen(
  parts: EngineParts,
  vm: ManagedVm,
  ids: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const merged = new Set<string>();
  const failures = new Map<string, string>();
  try {
    const { definition, state, paths } = vm;
    await using qmp = await launchMaintenance({ definition, state, paths }, signal);
    await parts.step('stopped-merge-launched');
    try {
      for (const disk of vm.tracked.filter(({ id }) => ids.has(id))) {
        await commitAll(parts, qmp, disk, signal)
          .then(() => merged.add(disk.id))
          .catch((error: unknown) => failures.set(disk.id, wordsOf(error, signal)));
      }
    } finally {
      const limitMs = signal.aborted ? GIVE_UP_MS_MAX : CLOSE_MS_MAX;
      if (!(await endMaintenance(paths, limitMs, qmp))) {
        // What it had in its caches is not in the base.
        merged.clear();
      }
    }
    await parts.step('stopped-merge-closed');
  } catch (error) {
    if (isFault(error) && !signal.aborted) {
      const why = fittingWhy(error.message);
      ids.forEach((id) => failures.set(id, why));
    }
    throw error;
  } finally {
    await saveMerged(parts, vm, merged, failures);
  }
  signal.throwIfAborted();
}

/** @throws any error that is not the failure of one disk */
function wordsOf(error: unknown, signal: AbortSignal): string {
  signal.throwIfAborted();
  if (!isFault(error, 'engine.merge-failed') && !isFault(error, 'engine.refused')) {
    throw error;
  }
  return fittingWhy(error.message);
}

/** Copies all layers into the base. Nobody writes, so base and chain stay equal afterwards. */
async function commitAll(
  parts: EngineParts,
  qmp: QmpClient,
  disk: DiskState,
  signal: AbortSignal,
): Promise<void> {
  const id = `merge-${disk.index}`;
  await qmp.execute(
    'block-commit',
    {
      'job-id': id,
      device: nodeName(disk, topOf(disk)),
      'base-node': nodeName(disk, baseOf(disk)),
      'auto-dismiss': false,
      speed: 0,
      // `enospc` would pause the job for ever; an error leaves everything as it was.
      'on-error': 'report',
    },
    signal,
  );
  await parts.step('stopped-merge-started');
  const ready = await waitForJob(qmp, id, ['ready', 'concluded'], signal);
  if (ready?.status === 'ready') {
    await qmp.execute('block-job-complete', { device: id }, signal);
  }
  await concludeJob(qmp, id, signal);
  await parts.step('stopped-merge-committed');
}

/** Makes the complete bases durable before the state file names them alone. */
async function saveMerged(
  parts: EngineParts,
  vm: ManagedVm,
  merged: ReadonlySet<string>,
  failures: ReadonlyMap<string, string>,
): Promise<void> {
  const whole = new Set<string>();
  const why = new Map(failures);
  for (const disk of vm.tracked.filter(({ id }) => merged.has(id))) {
    if (await isReplaced(baseOf(disk))) {
      why.set(disk.id, replacedText(baseOf(disk)));
    } else {
      await makeDurable(baseOf(disk).path);
      whole.add(disk.id);
    }
  }
  await parts.step('stopped-merge-durable');
  await removeRunFolder(vm.paths);
  const disks = await withIdentities(vm, false);
  const leftovers = [...vm.state.leftovers];
  const saved = disks.map((disk) => {
    if (!whole.has(disk.id)) {
      const whyUnmerged = why.get(disk.id);
      return whyUnmerged === undefined ? disk : { ...disk, whyUnmerged };
    }
    leftovers.push(...disk.layers.slice(1).map(({ path }) => path));
    return withOneLayer(disk, baseOf(disk));
  });
  await vm.save({ disks: saved, leftovers, started: 'no' });
  await parts.step('stopped-merge-saved');
  parts.log.info('engine.stopped-vm-merged', {
    vmId: vm.definition.id,
    disks: whole.size,
    failed: why.size,
  });
}

/** Whether the layers of a powered-off VM may be merged: it was stopped in order and has some. */
export function isToMerge({ started, stoppedInOrder, disks }: VmState): boolean {
  return started === 'no' && stoppedInOrder && disks.some(({ layers }) => layers.length > 1);
}

/** @throws Fault `engine.merge-failed` if a disk of the VM is still more than one file */
export function assertMerged(vm: ManagedVm): void {
  const left = vm.tracked.find(({ layers }) => layers.length > 1);
  if (left !== undefined) {
    throw new Fault(
      'engine.merge-failed',
      `${vm.name} stays as it is: the layers on ${baseOf(left).path} could not be merged` +
        `${left.whyUnmerged === undefined ? '' : ` (${left.whyUnmerged})`}.`,
      { vmId: vm.definition.id, path: baseOf(left).path },
    );
  }
}
