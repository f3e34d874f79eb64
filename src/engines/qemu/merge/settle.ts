import { diskFacts, factsOf, removeUnusedNodes } from '../process/block-graph.ts';
import { withoutNewTop } from '../state/disk-changes.ts';
import { dropDistrusted } from '../vms/distrust.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import { diskName, withIdentities, withWarnings } from '../layers/identity-journal.ts';
import { logFrozenLayers } from '../layers/layer-changes.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { mergeFrozenLayers } from './merge.ts';
import { removeLeftovers } from '../layers/layer-files.ts';
import { adoptUnexpected, assertOurs } from '../layers/ownership.ts';
import {
  lookForOutsideChanges,
  questionsOfRunning,
  type DiskQuestion,
} from '../layers/outside-changes.ts';
import type { QmpClient } from '../qmp/qmp-client.ts';
import {
  endedInOrder,
  endMaintenance,
  isMaintenance,
  removeRunFolder,
  runningPid,
} from '../process/qemu-process.ts';
import type { Session } from '../process/sessions.ts';
import { thawGuest } from './thaw-guest.ts';
import { markUnmerged } from './unmerged.ts';
import { topOf, type DiskState } from '../state/vm-state.ts';

/** How long the QEMU of an interrupted merge may take to end in order. */
const MAINTENANCE_MS_MAX = 2_000;
/** How long QEMU may take to say that a guest waits for its start, and to let it run. */
const RESUME_MS_MAX = 6_000;

/** After a crash, a power cut, or a killed QEMU. */
export const ENDED_UNASKED = 'the VM ended without being stopped';

export interface Settled {
  /** The connection to the running VM; undefined if it is powered off. */
  readonly session: Session | undefined;
  /** What was repaired, for people. */
  readonly repairs: readonly string[];
  /** Disks that must not be touched before a person has said what they are. */
  readonly questions: readonly DiskQuestion[];
}

export interface SettleOptions {
  /** Whether nobody reads a frozen layer, so that they may be merged. */
  readonly mayMerge: boolean;
}

/**
 * Brings a VM to a state in which no action is half done, wherever the last one ended. Every action
 * begins with it, and it is all that the reconciler does. It asks QEMU and assumes nothing.
 */
export async function settle(
  parts: EngineParts,
  vm: ManagedVm,
  { mayMerge }: SettleOptions,
  signal: AbortSignal,
): Promise<Settled> {
  if (mayMerge) {
    await dropDistrusted(vm);
  }
  if ((await runningPid(vm.paths)) === undefined) {
    return settleDisks(parts, vm, signal);
  }
  if (vm.state.started === 'maintenance' && (await isMaintenance(vm.paths))) {
    // A service that died was merging its layers; there is no guest.
    await endMaintenance(vm.paths, MAINTENANCE_MS_MAX);
    return settleDisks(parts, vm, signal);
  }
  const session = await parts.sessions.get(ownerOf(vm), signal);
  await assertOurs(vm, session.qmp, signal);
  const repairs = await adoptUnexpected(vm);
  repairs.push(...(await thaw(parts, vm, signal)));
  repairs.push(...(await alignWithQemu(vm, session.qmp, signal)));
  const questions = await questionsOfRunning(vm);
  repairs.push(...(await logFrozenLayers(vm, questions, signal)));
  if (mayMerge) {
    const merged = await mergeFrozenLayers(parts, vm, session.qmp, signal);
    repairs.push(...merged.map((id) => `merged a frozen layer of disk ${diskName(vm, { id })}`));
  }
  repairs.push(...(await resumeStart(vm, session)));
  return { session, repairs, questions };
}

export function ownerOf(vm: ManagedVm): Parameters<EngineParts['sessions']['get']>[0] {
  return {
    vmId: vm.definition.id,
    paths: vm.paths,
    diskPaths: vm.state.disks.flatMap(({ layers }) => layers.map(({ path }) => path)),
  };
}

/** Settles the disks of a VM that is not running. */
async function settleDisks(
  parts: EngineParts,
  vm: ManagedVm,
  signal: AbortSignal,
): Promise<Settled> {
  await parts.sessions.drop(vm.definition.id);
  const hasSaid = parts.sessions.takeShutDown(vm.definition.id);
  const isOrderly = hasSaid || (await endedInOrder(vm.paths));
  await removeRunFolder(vm.paths);
  const { notes, questions } = await lookForOutsideChanges(vm, signal);
  const repairs = [...notes];
  const asked = new Set(questions.map(({ layer }) => layer.path));
  const { started, leftovers } = vm.state;
  if (started === 'guest') {
    const said = isOrderly ? 'the guest shut itself down' : ENDED_UNASKED;
    repairs.push(said);
    await vm.save({
      warnings: isOrderly ? vm.state.warnings : withWarnings(vm.state, [said]),
      disks: await withIdentities(vm, false, asked),
      started: 'no',
      stoppedInOrder: isOrderly,
      freezeSent: false,
      owedCommands: [],
    });
  } else if (started === 'maintenance') {
    repairs.push('took up a merge that was cut off');
    await vm.save({ disks: await withIdentities(vm, false, asked), started: 'no' });
  }
  if (leftovers.length > 0) {
    repairs.push(`removed ${leftovers.length} overlay(s) that no disk uses`);
    await removeLeftovers(vm);
  }
  repairs.push(...(await logFrozenLayers(vm, questions, signal)));
  await markUnmerged(parts, vm);
  return { session: undefined, repairs, questions };
}

/** Thaws a guest that may have stayed frozen; one that does not answer is asked again later. */
async function thaw(parts: EngineParts, vm: ManagedVm, signal: AbortSignal): Promise<string[]> {
  if (!vm.state.freezeSent) {
    return [];
  }
  const wasFrozen = await thawGuest(parts, vm, signal);
  if (wasFrozen !== undefined) {
    return [wasFrozen ? 'thawed the guest' : 'the guest was already thawed'];
  }
  const warning = 'the guest agent does not answer: the guest may still be frozen';
  await vm.save({ warnings: withWarnings(vm.state, [warning]) });
  parts.thawLater(vm.definition.id);
  return [warning];
}

/** Makes the state file match QEMU, and closes what QEMU has open and nobody uses. */
async function alignWithQemu(
  vm: ManagedVm,
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<string[]> {
  const repairs: string[] = [];
  const facts = await diskFacts(qmp, signal);
  const unpivoted = vm.tracked.filter(
    (disk) => factsOf(facts, disk).activeLayer !== topOf(disk).number,
  );
  if (unpivoted.length > 0) {
    await forgetAnnouncedTops(vm, unpivoted);
    repairs.push('took back a freeze that was announced and did not happen');
  }
  repairs.push(...(await closeLeftovers(vm, qmp, signal)));
  return repairs;
}

/** The transaction covers all disks or none, so the tops of all go together. */
async function forgetAnnouncedTops(vm: ManagedVm, unpivoted: readonly DiskState[]): Promise<void> {
  const ids = new Set(unpivoted.map(({ id }) => id));
  const paths = unpivoted.map((disk) => topOf(disk).path);
  await vm.saveDisks((disk) => (ids.has(disk.id) ? withoutNewTop(disk) : disk), {
    leftovers: [...vm.state.leftovers, ...paths],
  });
}

/**
 * Closes overlays that were made and never used, and layers that were merged and not yet removed.
 */
async function closeLeftovers(
  vm: ManagedVm,
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<string[]> {
  const { leftovers } = vm.state;
  if (leftovers.length === 0) {
    return [];
  }
  for (const disk of vm.tracked) {
    await removeUnusedNodes(qmp, disk, signal);
  }
  await removeLeftovers(vm);
  return [`removed ${leftovers.length} overlay(s) that no disk uses`];
}

/** Resumes a start: a service died after it started QEMU and before it let the guest run. */
async function resumeStart(vm: ManagedVm, session: Session): Promise<string[]> {
  const signal = AbortSignal.timeout(RESUME_MS_MAX);
  const status = await session.look(signal);
  if (status !== 'prelaunch') {
    return [];
  }
  await session.qmp.execute('cont', {}, signal);
  return ['let the guest run that was started and waited'];
}
