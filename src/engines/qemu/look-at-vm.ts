import { isDeepStrictEqual } from 'node:util';
import type { VmId, VmStatus, VmSummary } from '../engine.ts';
import type { EngineParts } from './engine-parts.ts';
import { loadVm } from './managed-vm.ts';
import { notOursText, whyNotOurs } from './ownership.ts';
import { runningPid } from './qemu-process.ts';
import type { QmpClient } from './qmp-client.ts';
import { ENDED_UNASKED } from './settle.ts';
import type { VmPaths } from './vm-paths.ts';
import type { VmState } from './vm-state.ts';

const LOOK_MS_MAX = 3_000;

interface Look {
  readonly status: VmStatus;
  readonly warnings: readonly string[];
}

/** What a VM is doing, without its lock: for showing, not for acting. */
export async function lookAtVm(
  parts: EngineParts,
  paths: VmPaths,
  vm: VmId,
  signal: AbortSignal,
): Promise<VmSummary> {
  signal.throwIfAborted();
  const { definition, state } = await loadVm(paths, vm);
  const isRunning = (await runningPid(paths)) !== undefined;
  const { status, warnings } = isRunning
    ? await lookAtQemu(parts, paths, state, signal)
    : { status: 'stopped' as const, warnings: state.started === 'no' ? [] : [ENDED_UNASKED] };
  return {
    id: vm,
    name: definition.name,
    status,
    definition,
    warnings: [...new Set([...state.warnings, ...warnings])],
  };
}

async function lookAtQemu(
  parts: EngineParts,
  paths: VmPaths,
  state: VmState,
  signal: AbortSignal,
): Promise<Look> {
  const { vmId, disks } = state;
  try {
    const diskPaths = disks.flatMap(({ layers }) => layers.map(({ path }) => path));
    const session = await parts.sessions.get({ vmId, paths, diskPaths }, signal);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS_MAX)]);
    const why = await whyStillNotOurs({ paths, state }, session.qmp, limit);
    if (why !== undefined) {
      const { definition } = await loadVm(paths, vmId);
      const text = notOursText(definition.name, await runningPid(paths), why);
      return { status: 'not-ours', warnings: [text] };
    }
    const status = await session.look(limit);
    return {
      status: statusOf(status),
      warnings: session.ioError === undefined ? [] : [session.ioError],
    };
  } catch (error) {
    signal.throwIfAborted();
    const why = Error.isError(error) ? error.message : String(error);
    return { status: 'unknown', warnings: [`QEMU cannot be asked: ${why}`] };
  }
}

/** Without the lock a state file may be older than what QEMU says: then both are asked again. */
async function whyStillNotOurs(
  { paths, state }: { readonly paths: VmPaths; readonly state: VmState },
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (let read = state; ;) {
    const why = await whyNotOurs({ paths, state: read }, qmp, signal);
    const { state: now } = await loadVm(paths, state.vmId);
    if (why === undefined || isDeepStrictEqual(now, read)) {
      return why;
    }
    read = now;
  }
}

function statusOf(status: string): VmStatus {
  if (status === 'running' || status === 'io-error') {
    return status;
  }
  return status === 'paused' || status === 'prelaunch' ? 'paused' : 'unknown';
}
