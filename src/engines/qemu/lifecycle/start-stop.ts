import { setTimeout as delay } from 'node:timers/promises';
import type { EngineParts } from '../vms/engine-parts.ts';
import { chooseAccelerator } from '../process/accelerator.ts';
import { GuestAgent } from '../guest/guest-agent.ts';
import { withIdentities, withWarnings } from '../layers/identity-journal.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { hasEnded, launchQemu, quitQemu, removeRunFolder } from '../process/qemu-process.ts';
import { removeLeftovers } from '../layers/layer-files.ts';
import type { Session } from '../process/sessions.ts';
import { ownerOf } from '../merge/settle.ts';
import { imageFacts } from '../../../formats/qemu-img.ts';
import { withLayer } from '../state/disk-changes.ts';
import { identityOf } from '../state/file-identity.ts';
import { makeOverlays } from '../layers/overlay-files.ts';
import { markUnmerged, removeMarkers } from '../merge/unmerged.ts';
import { topOf, type DiskState, type Layer } from '../state/vm-state.ts';

const AGENT_MS_MAX = 3_000;
/** How often to check whether a guest has shut down. */
const SHUTDOWN_LOOK_MS = 100;

/**
 * Starts a settled VM from its state file. Returns before the guest runs.
 *
 * @param isHeld whether somebody reads the present state of the VM's disks
 */
export async function launch(
  parts: EngineParts,
  vm: ManagedVm,
  { isHeld }: { readonly isHeld: boolean },
  signal: AbortSignal,
): Promise<Session> {
  const { accelerator, reason } = await chooseAccelerator();
  await putLayers(parts, vm, isHeld, signal);
  const disks: DiskState[] = (await withIdentities(vm, true)).map((disk) => ({
    ...disk,
    topUntouched: false,
  }));
  await vm.save({
    ...{ disks, started: 'guest', stoppedInOrder: false, freezeSent: false },
    owedCommands: [],
  });
  await removeMarkers(parts, vm);
  await parts.step('start-announced');
  const { definition, state, paths } = vm;
  try {
    const { qmp, isSandboxed } = await launchQemu(
      { definition, state, paths, accelerator },
      signal,
    );
    await parts.step('launched');
    const facts = { vmId: definition.id, accelerator, reason, isSandboxed };
    parts.log.info('engine.vm-started', facts);
    return parts.sessions.adopt(ownerOf(vm), qmp);
  } catch (error) {
    // It may have run for a moment: what it wrote is in the top layer, where it belongs.
    await hasEnded(paths, AGENT_MS_MAX, AbortSignal.timeout(AGENT_MS_MAX * 2));
    await journalEnd(vm, true);
    throw error;
  }
}

/**
 * Puts a new layer on each disk whose newest layer is part of a frozen state. The state stays as it
 * is, for its readers and for the changes since it. Other disks get no layer.
 */
async function putLayers(
  parts: EngineParts,
  vm: ManagedVm,
  isHeld: boolean,
  signal: AbortSignal,
): Promise<void> {
  const sizes: { id: string; sizeBytes: number }[] = [];
  for (const disk of vm.tracked.filter(({ topUntouched }) => topUntouched || isHeld)) {
    const { virtualSize } = await imageFacts(topOf(disk), signal);
    sizes.push({ id: disk.id, sizeBytes: virtualSize });
  }
  if (sizes.length === 0) {
    return;
  }
  const layers = new Map<string, Layer>();
  for (const { disk, layer } of await makeOverlays(parts, vm, sizes, signal)) {
    layers.set(disk.id, { ...layer, identity: await identityOf(layer, false) });
  }
  const paths = new Set([...layers.values()].map(({ path }) => path));
  await vm.saveDisks(
    (disk) => {
      const layer = layers.get(disk.id);
      return layer === undefined ? disk : withLayer(disk, layer);
    },
    { leftovers: vm.state.leftovers.filter((path) => !paths.has(path)) },
  );
  await parts.step('layers-put');
}

/** Ends a running VM; asks the guest first, unless `force`. */
export async function shutDown(
  parts: EngineParts,
  vm: ManagedVm,
  { session, force }: { readonly session: Session; readonly force: boolean },
  signal: AbortSignal,
): Promise<void> {
  const { paths, definition } = vm;
  const isDown = !force && (await guestShutsDown(parts, vm, session, signal));
  if (!isDown) {
    if (!force) {
      const warning = 'the guest did not shut down in time and was powered off';
      await vm.save({ warnings: withWarnings(vm.state, [warning]) });
    }
    await quitQemu(paths, session.qmp, signal);
  }
  await parts.sessions.drop(definition.id);
  await journalEnd(vm, true);
  await markUnmerged(parts, vm);
  await removeLeftovers(vm);
  parts.log.info('engine.vm-stopped', { vmId: definition.id, byGuest: isDown });
}

/** Journals the identity of every image after QEMU has ended. */
async function journalEnd(vm: ManagedVm, stoppedInOrder: boolean): Promise<void> {
  await removeRunFolder(vm.paths);
  const disks = await withIdentities(vm, false);
  await vm.save({ disks, started: 'no', stoppedInOrder, freezeSent: false, owedCommands: [] });
}

/** Asks the agent, else presses the power button, and waits. */
async function guestShutsDown(
  parts: EngineParts,
  vm: ManagedVm,
  { qmp }: Session,
  signal: AbortSignal,
): Promise<boolean> {
  const { running } = await qmp.execute('query-status', {}, signal);
  if (!running) {
    return false;
  }
  try {
    await using agent = await GuestAgent.connect(vm.paths.agent, AGENT_MS_MAX, signal);
    await agent.shutdown(signal);
  } catch {
    // Without an agent, an operating system still knows the power button.
    signal.throwIfAborted();
    await qmp.execute('system_powerdown', {}, signal);
  }
  const startedMs = parts.clock.monotonicMs();
  while (parts.clock.monotonicMs() - startedMs < parts.limits.shutdownMs) {
    await Promise.race([qmp.closed, delay(SHUTDOWN_LOOK_MS, undefined, { signal })]);
    if (!qmp.isOpen) {
      return hasEnded(vm.paths, AGENT_MS_MAX, signal);
    }
  }
  return false;
}
