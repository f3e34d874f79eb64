import { cancelJob, concludeJob, findJob, waitForJob } from './block-jobs.ts';
import { diskFacts, factsOf, removeUnusedNodes } from './block-graph.ts';
import { withNewHistory } from './disk-changes.ts';
import type { EngineParts } from './engine-parts.ts';
import { identityOf } from './file-identity.ts';
import type { ManagedVm } from './managed-vm.ts';
import { makeDurable } from './merge.ts';
import { nodeName, readOnlyBase } from './node-graph.ts';
import type { QmpClient } from './qmp-client.ts';
import { baseOf, topOf, type DiskState } from './vm-state.ts';

/** While the job is pending the guest's I/O stands still, so nothing may take long. */
const PENDING_MS_MAX = 10_000;

export function releaseJobId(disk: DiskState): string {
  return `release-${disk.index}`;
}

/**
 * Merges the top layer of a disk into its base while QEMU runs, and goes on with the base alone.
 *
 * With `auto-finalize` off there is a moment (`pending`) at which both are identical and nobody
 * writes. The state file changes from one to the other in it, so a crash at any point leaves no
 * doubt which image to start from.
 */
export async function releaseDisk(
  parts: EngineParts,
  vm: ManagedVm,
  { qmp, disk }: { readonly qmp: QmpClient; readonly disk: DiskState },
  signal: AbortSignal,
): Promise<void> {
  const id = releaseJobId(disk);
  const top = topOf(disk);
  await qmp.execute(
    'block-commit',
    {
      'job-id': id,
      device: nodeName(disk, top),
      'base-node': nodeName(disk, baseOf(disk)),
      'auto-finalize': false,
      'auto-dismiss': false,
      speed: 0,
      'on-error': 'report',
    },
    signal,
  );
  try {
    const ready = await waitForJob(qmp, id, ['ready', 'concluded'], signal);
    if (ready?.status === 'ready') {
      await qmp.execute('block-job-complete', { device: id }, signal);
      await waitForJob(qmp, id, ['pending', 'concluded'], signal);
    }
    await parts.step('release-pending');
    await journalBase(vm, disk);
    await parts.step('release-saved');
  } catch (error) {
    // Nothing was decided: the disk goes on with its overlay.
    await giveUp(qmp, disk, AbortSignal.timeout(PENDING_MS_MAX));
    throw error;
  }
  await finalize(vm, qmp, disk);
}

/** Ends the release of a disk that a service began and did not end, as the state file says. */
export async function finishRelease(
  vm: ManagedVm,
  qmp: QmpClient,
  disk: DiskState,
  signal: AbortSignal,
): Promise<void> {
  if (disk.layers.length > 1) {
    await giveUp(qmp, disk, signal);
    return;
  }
  await finalize(vm, qmp, disk);
}

/** Cancels the job. QEMU 7.2 forgets to make the base read-only again, and readers could not open it. */
async function giveUp(qmp: QmpClient, disk: DiskState, signal: AbortSignal): Promise<void> {
  await cancelJob(qmp, releaseJobId(disk), signal);
  const options = [readOnlyBase(disk, baseOf(disk))];
  await qmp.execute('blockdev-reopen', { options }, signal);
}

/** From here on the disk is its base alone. What was tracked does not reach across this. */
async function journalBase(vm: ManagedVm, disk: DiskState): Promise<void> {
  const base = baseOf(disk);
  const open = { ...base, identity: await identityOf(base, true) };
  await vm.saveDisk(
    { ...withNewHistory(disk), layers: [open], topUntouched: false, mergeIntent: undefined },
    { leftovers: [...vm.state.leftovers, ...disk.layers.slice(1).map(({ path }) => path)] },
  );
}

async function finalize(vm: ManagedVm, qmp: QmpClient, disk: DiskState): Promise<void> {
  const id = releaseJobId(disk);
  const signal = AbortSignal.timeout(PENDING_MS_MAX);
  const job = await findJob(qmp, id, signal);
  if (job?.status === 'pending') {
    await qmp.execute('job-finalize', { id }, signal);
  }
  await concludeJob(qmp, id, signal);
  const current = vm.state.disks.find((candidate) => candidate.id === disk.id) ?? disk;
  // The attached node says which image the guest writes from now on; it must be the base.
  factsOf(await diskFacts(qmp, signal), current);
  await removeUnusedNodes(qmp, current, signal);
  await makeDurable(baseOf(current).path);
}
