import { dirname, join } from 'node:path';
import { syncFolder } from '../../../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../../../kernel/fault.ts';
import { readdir, rename, rm } from '../../../kernel/files/files.ts';
import type { VmId } from '../../engine.ts';

/** `sun_path` holds 108 bytes; the rest is room for what tools append. */
const SOCKET_PATH_BYTES_MAX = 100;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Paths of everything of one VM except its disks. */
export interface VmPaths {
  /** Folder for what must survive a restart of the host. */
  readonly folder: string;
  readonly definition: string;
  readonly state: string;
  /** Held during one action on the VM. */
  readonly actionLock: string;
  /** Held as long as a frozen state is in use. */
  readonly holdLock: string;
  readonly changes: string;
  /** Folder for the running QEMU: sockets, pid, logs. */
  readonly runFolder: string;
  readonly monitor: string;
  readonly secondMonitor: string;
  readonly agent: string;
  readonly pid: string;
  /** Exists while QEMU is being started: only the launch connects to it then. */
  readonly launching: string;
  readonly serialLog: string;
  readonly messages: string;
}

export interface EngineFolders {
  readonly stateFolder: string;
  readonly runFolder: string;
}

/**
 * @throws Fault `engine.vm-not-found` for an id that cannot be one of ours, so that it never
 *   becomes part of a path; `engine.path-too-long` if sockets would not fit
 */
export function vmPaths({ stateFolder, runFolder }: EngineFolders, vmId: VmId): VmPaths {
  if (!UUID.test(vmId)) {
    throw new Fault('engine.vm-not-found', 'That is not the id of a VM.', {});
  }
  const folder = join(vmsFolder(stateFolder), vmId);
  const run = join(runFolder, vmId);
  const paths = {
    folder,
    definition: join(folder, 'definition.json'),
    state: join(folder, 'state.json'),
    actionLock: join(folder, 'action.lock'),
    holdLock: join(folder, 'hold.lock'),
    changes: join(folder, 'changes'),
    runFolder: run,
    monitor: join(run, 'qmp'),
    secondMonitor: join(run, 'qmp2'),
    agent: join(run, 'agent'),
    pid: join(run, 'pid'),
    launching: join(run, 'launching'),
    serialLog: join(run, 'serial.log'),
    messages: join(run, 'qemu.log'),
  };
  if (Buffer.byteLength(paths.agent) > SOCKET_PATH_BYTES_MAX) {
    throw new Fault(
      'engine.path-too-long',
      `The run folder ${runFolder} is too long for sockets; choose one of at most ` +
        `${SOCKET_PATH_BYTES_MAX - Buffer.byteLength(paths.agent) + Buffer.byteLength(runFolder)} bytes.`,
      { runFolder },
    );
  }
  return paths;
}

/** Returns the ids of all VMs. */
export async function vmIdsIn({ stateFolder }: EngineFolders): Promise<VmId[]> {
  const names = await readdir(vmsFolder(stateFolder)).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') {
      return [];
    }
    throw error;
  });
  // `.new`: adding it was cut off; `.gone`: removing it was. Other names are not ours.
  return names.filter((name) => UUID.test(name));
}

/** Forgets a VM in one step, even if it is cut off. */
export async function removeVmFolder({ folder }: VmPaths): Promise<void> {
  const gone = `${folder}.gone`;
  await rm(gone, { recursive: true, force: true });
  await rename(folder, gone);
  await syncFolder(dirname(folder));
  await rm(gone, { recursive: true, force: true });
}

/** Returns the folder that has one folder per VM. */
export function vmsFolder(stateFolder: string): string {
  return join(stateFolder, 'vms');
}
