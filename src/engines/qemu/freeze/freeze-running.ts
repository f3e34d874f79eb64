import { Fault, isFault } from '../../../kernel/fault.ts';
import type { FreezeOptions, FrozenVm } from '../../engine.ts';
import { addOverlay, diskFacts, factsOf, removeUnusedNodes } from '../process/block-graph.ts';
import { withNewTop, withoutNewTop } from '../state/disk-changes.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import { identityOf } from '../state/file-identity.ts';
import { diskName } from '../layers/identity-journal.ts';
import { startGuard, whileFrozen, whyNoAgent, type GuestPart } from './guest-freeze.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { removeLeftovers } from '../layers/layer-files.ts';
import { nodeName } from '../process/node-graph.ts';
import { assertRoom, makeOverlays, type PlannedOverlay } from '../layers/overlay-files.ts';
import type { QmpClient } from '../qmp/qmp-client.ts';
import type { OverlayWatch } from './overlay-watch.ts';
import type { DiskState } from '../state/vm-state.ts';

/** A caller's cancellation must not leave a pivot half done; it takes milliseconds. */
const PIVOT_MS_MAX = 30_000;

/** When and how a VM was frozen. */
export type Instant = Pick<
  FrozenVm,
  | 'takenAtMs'
  | 'transactionMs'
  | 'transaction'
  | 'consistency'
  | 'consistencyReason'
  | 'guestFrozenMs'
>;

interface FreezeTools {
  readonly qmp: QmpClient;
  /** Told about the new overlays before the guest writes to them. */
  readonly watch: OverlayWatch;
  readonly options: FreezeOptions;
}

/**
 * Puts a new, empty layer on top of every disk of a running VM at one instant; the old tops are
 * frozen.
 *
 * The order of lines is the safety argument: overlays are durable before the state file names them
 * as tops; the state file names them before QEMU writes to them; and an announced overlay that is
 * still empty is the same disk as without it.
 */
export async function freezeRunning(
  parts: EngineParts,
  vm: ManagedVm,
  { qmp, watch, options }: FreezeTools,
  signal: AbortSignal,
): Promise<Instant> {
  await assertRoom(parts, vm);
  const whyNot =
    options.crashConsistent === true
      ? 'file systems were not frozen, as asked'
      : await whyNoAgent(vm, qmp, signal);
  await using guard = await startGuard(parts, vm, whyNot);
  const facts = await diskFacts(qmp, signal);
  const sizes = vm.tracked.map((disk) => ({
    id: disk.id,
    sizeBytes: factsOf(facts, disk).sizeBytes,
  }));
  const overlays = await makeOverlays(parts, vm, sizes, signal);
  for (const { disk, layer } of overlays) {
    await addOverlay(qmp, disk, layer, signal);
  }
  await watch.expect(overlays);
  await watch.arm(qmp, signal);
  await parts.step('overlays-added');
  signal.throwIfAborted();
  const mayBeFrozen = vm.state.freezeSent;
  await announce(vm, overlays, { isGuestFrozen: guard !== undefined, holder: options.jobToken });
  await parts.step('announced');
  const isReady = guard !== undefined && (await guard.ready());
  const { meeting } = options;
  await meeting?.whenPrepared(signal);
  const pivot = { takenAtMs: 0, fromMs: 0, toMs: 0 };
  const guest = await whileFrozen(parts, guard, isReady, {
    withinMs: meeting?.leftMs,
    instant: async (whyLate) => {
      await meeting?.whenFrozen(vm.name, whyLate ?? lateText(vm, options, whyNot), signal);
      pivot.takenAtMs = parts.clock.nowMs();
      await assertSameSizes(vm, qmp, overlays);
      pivot.fromMs = parts.clock.monotonicMs();
      await transact(vm, qmp, overlays);
      pivot.toMs = parts.clock.monotonicMs();
      await parts.step('pivoted');
    },
  });
  await parts.step('thawed');
  await settleTops(vm, guest, mayBeFrozen);
  await parts.step('frozen-saved');
  const reason = guest.reason ?? whyNot;
  const { takenAtMs, ...transaction } = pivot;
  return {
    takenAtMs,
    transaction,
    transactionMs: transaction.toMs - transaction.fromMs,
    consistency: guest.isConsistent ? 'filesystem' : 'crash',
    ...(reason === undefined ? {} : { consistencyReason: reason }),
    guestFrozenMs: guest.frozenMs,
  };
}

/** Returns why a guest that should have frozen its file systems could not even be asked. */
function lateText(
  vm: ManagedVm,
  { crashConsistent }: FreezeOptions,
  whyNot: string | undefined,
): string | undefined {
  return crashConsistent === true || !vm.definition.guestAgent ? undefined : whyNot;
}

/** Saves what the disks are from now on, and that the guest may be frozen. */
async function announce(
  vm: ManagedVm,
  overlays: readonly PlannedOverlay[],
  { isGuestFrozen, holder }: { readonly isGuestFrozen: boolean; readonly holder: string },
): Promise<void> {
  const byDisk = new Map(overlays.map((overlay) => [overlay.disk.id, overlay]));
  const tops: DiskState[] = [];
  for (const disk of vm.state.disks) {
    const overlay = byDisk.get(disk.id);
    if (overlay === undefined) {
      tops.push(disk);
      continue;
    }
    const layer = { ...overlay.layer, identity: await identityOf(overlay.layer, true) };
    tops.push(withNewTop(disk, layer, overlay.sizeBytes));
  }
  const paths = new Set(overlays.map(({ layer }) => layer.path));
  await vm.save({
    disks: tops,
    freezeSent: vm.state.freezeSent || isGuestFrozen,
    holder,
    leftovers: vm.state.leftovers.filter((path) => !paths.has(path)),
  });
}

/**
 * Overlays are made before the guest's file systems are frozen, which may take seconds. If a disk
 * has grown since, a smaller overlay would cut off its end.
 */
async function assertSameSizes(
  vm: ManagedVm,
  qmp: QmpClient,
  overlays: readonly PlannedOverlay[],
): Promise<void> {
  const facts = await diskFacts(qmp, AbortSignal.timeout(PIVOT_MS_MAX));
  const resized = overlays.find(
    ({ disk, sizeBytes }) => factsOf(facts, disk).sizeBytes !== sizeBytes,
  );
  if (resized !== undefined) {
    await takeBack(vm, qmp, overlays);
    throw new Fault(
      'engine.refused',
      `The disk ${diskName(vm, resized.disk)} was resized while its freeze was prepared; ` +
        'nothing was changed. Repeat the backup.',
      { diskId: resized.disk.id },
    );
  }
}

async function transact(
  vm: ManagedVm,
  qmp: QmpClient,
  overlays: readonly PlannedOverlay[],
): Promise<void> {
  const actions = overlays.map(({ disk, layer }) => ({
    type: 'blockdev-snapshot',
    data: { node: nodeName(disk, disk.layers.at(-1) ?? layer), overlay: nodeName(disk, layer) },
  }));
  const signal = AbortSignal.timeout(PIVOT_MS_MAX);
  try {
    await qmp.execute('transaction', { actions }, signal, PIVOT_MS_MAX);
  } catch (error) {
    // A refusal means that no disk was touched. Any other error leaves it open: the next action
    // asks QEMU.
    if (isFault(error, 'engine.refused')) {
      await takeBack(vm, qmp, overlays);
    }
    throw error;
  }
}

async function takeBack(
  vm: ManagedVm,
  qmp: QmpClient,
  overlays: readonly PlannedOverlay[],
): Promise<void> {
  const ids = new Set(overlays.map(({ disk }) => disk.id));
  await vm.saveDisks((disk) => (ids.has(disk.id) ? withoutNewTop(disk) : disk), {
    leftovers: [...vm.state.leftovers, ...overlays.map(({ layer }) => layer.path)],
  });
  for (const disk of vm.tracked) {
    await removeUnusedNodes(qmp, disk, AbortSignal.timeout(PIVOT_MS_MAX));
  }
  await removeLeftovers(vm);
}

/**
 * Frozen layers no longer change, so their whole identity is journalled.
 *
 * @param mayBeFrozen whether the guest may be as an earlier freeze left it, if it was not asked now
 */
async function settleTops(vm: ManagedVm, guest: GuestPart, mayBeFrozen: boolean): Promise<void> {
  const disks: DiskState[] = [];
  for (const disk of vm.state.disks) {
    const frozen = disk.layers.at(-2);
    if (disk.excluded || frozen === undefined) {
      disks.push(disk);
      continue;
    }
    const settled = { ...frozen, identity: await identityOf(frozen, false) };
    disks.push({
      ...disk,
      layers: [...disk.layers.slice(0, -2), settled, ...disk.layers.slice(-1)],
    });
  }
  const isThawed = guest.isThawed && (!mayBeFrozen || guest.frozenMs > 0);
  await vm.save({ disks, freezeSent: vm.state.freezeSent && !isThawed });
}
