import { isDeepStrictEqual } from 'node:util';
import { isAbort } from '../../../kernel/fault.ts';
import type { VmId, VmStatus, VmSummary } from '../../engine.ts';
import type { EngineParts, Said } from '../vms/engine-parts.ts';
import { FileLock } from '../../../kernel/files/file-lock.ts';
import { loadVm } from '../vms/managed-vm.ts';
import { notOursText, whyNotOurs } from '../layers/ownership.ts';
import { endedInOrder, isLaunching, isMaintenance, runningPid } from '../process/qemu-process.ts';
import { QmpClient } from '../qmp/qmp-client.ts';
import { IO_ERROR } from '../process/sessions.ts';
import { ENDED_UNASKED } from '../merge/settle.ts';
import { unmergedDisks } from '../merge/unmerged.ts';
import type { VmPaths } from '../state/vm-paths.ts';
import type { VmState } from '../state/vm-state.ts';

const LOOK_MS_MAX = 3_000;

interface Look {
  readonly status: VmStatus;
  readonly warnings: readonly string[];
}

/**
 * Returns what a VM is doing, for showing and not for acting. Takes no lock, and no monitor that an
 * action needs: QEMU serves one client per monitor, so without a session it asks on the second one
 * and disconnects.
 */
export async function lookAtVm(
  parts: EngineParts,
  paths: VmPaths,
  vm: VmId,
  signal: AbortSignal,
): Promise<VmSummary> {
  signal.throwIfAborted();
  const pid = await runningPid(paths);
  const { definition, state } = await loadVm(paths, vm);
  // A QEMU that only merges layers has no guest.
  const isMerging = state.started === 'maintenance' && (await isMaintenance(paths));
  const isRunning = pid !== undefined && !isMerging;
  const { status, warnings } = isRunning
    ? await lookAtQemu(parts, paths, state, signal)
    : await lookWithoutQemu(parts, paths, state, signal);
  return {
    id: vm,
    name: definition.name,
    status,
    definition,
    warnings: [...new Set([...state.warnings, ...warnings])],
    unmerged: isRunning ? [] : unmergedDisks(state, definition, isMerging || parts.isMerging(vm)),
  };
}

async function lookWithoutQemu(
  parts: EngineParts,
  paths: VmPaths,
  state: VmState,
  signal: AbortSignal,
): Promise<Look> {
  if (state.started !== 'guest') {
    return { status: 'stopped', warnings: [] };
  }
  if (await FileLock.isTaken(paths.actionLock, signal)) {
    // It is being started or stopped.
    return { status: (await isLaunching(paths)) ? 'starting' : 'stopped', warnings: [] };
  }
  if ((await runningPid(paths)) !== undefined) {
    return lookAtQemu(parts, paths, state, signal);
  }
  const { state: now } = await loadVm(paths, state.vmId);
  const isOrderly = now.started !== 'guest' || (await endedInOrder(paths));
  return { status: 'stopped', warnings: isOrderly ? [] : [ENDED_UNASKED] };
}

async function lookAtQemu(
  parts: EngineParts,
  paths: VmPaths,
  state: VmState,
  signal: AbortSignal,
): Promise<Look> {
  const { vmId } = state;
  if (state.started === 'maintenance') {
    // QEMU only puts its disks in order; the guest does not run.
    return { status: 'stopped', warnings: [] };
  }
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS_MAX)]);
    const look = await ask(parts, paths, state, limit);
    if (look.said !== 'prelaunch') {
      return lookOf(look);
    }
    // Asks again if nobody acts on it: it may have been started since.
    return (await FileLock.isTaken(paths.actionLock, signal))
      ? { status: 'starting', warnings: [] }
      : lookOf(await ask(parts, paths, state, limit));
  } catch (error) {
    signal.throwIfAborted();
    if ((await runningPid(paths)) === undefined) {
      // It ended while it was asked.
      const { state: now } = await loadVm(paths, vmId);
      return lookWithoutQemu(parts, paths, now, signal);
    }
    if ((await isLaunching(paths)) && (await FileLock.isTaken(paths.actionLock, signal))) {
      return { status: 'starting', warnings: [] };
    }
    const why = isAbort(error) || !Error.isError(error) ? 'it does not answer' : error.message;
    return { status: 'unknown', warnings: [`QEMU cannot be asked: ${why}`] };
  }
}

async function ask(
  parts: EngineParts,
  paths: VmPaths,
  state: VmState,
  signal: AbortSignal,
): Promise<Said> {
  const session = parts.sessions.current(state.vmId);
  if (session !== undefined) {
    const notOurs = await whyStillNotOurs({ paths, state }, session.qmp, signal);
    const said = await session.look(signal);
    return { said, ioError: session.ioError, notOurs };
  }
  return parts.looks.do(state.vmId, signal, async (asked) => askAside(paths, state, asked));
}

/** Asks on the second monitor, which is for looking. */
async function askAside(paths: VmPaths, state: VmState, signal: AbortSignal): Promise<Said> {
  const options = { greetingTimeoutMs: LOOK_MS_MAX };
  await using qmp = await QmpClient.connect(paths.secondMonitor, signal, options);
  const notOurs = await whyStillNotOurs({ paths, state }, qmp, signal);
  const { status: said } = await qmp.execute('query-status', {}, signal);
  return { said, ioError: said === 'io-error' ? IO_ERROR : undefined, notOurs };
}

/** Without the lock, the state file may be older than what QEMU says: asks both again. */
async function whyStillNotOurs(
  { paths, state }: { readonly paths: VmPaths; readonly state: VmState },
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (let read = state; ;) {
    const why = await whyNotOurs({ paths, state: read }, qmp, signal);
    const { definition, state: now } = await loadVm(paths, state.vmId);
    if (why === undefined) {
      return undefined;
    }
    if (isDeepStrictEqual(now, read)) {
      return notOursText(definition.name, await runningPid(paths), why);
    }
    read = now;
  }
}

function lookOf({ said, ioError, notOurs }: Said): Look {
  if (notOurs !== undefined) {
    return { status: 'not-ours', warnings: [notOurs] };
  }
  const warnings = ioError === undefined ? [] : [ioError];
  if (said === 'running' || said === 'io-error') {
    return { status: said, warnings };
  }
  return { status: said === 'paused' || said === 'prelaunch' ? 'paused' : 'unknown', warnings };
}
