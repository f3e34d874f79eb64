import { spawn } from 'node:child_process';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { plainEnvironment, requireStart } from '../../../kernel/command.ts';
import { PRIVATE_FOLDER_MODE } from '../../../kernel/files/durable-file.ts';
import { Fault, isFault, systemCode } from '../../../kernel/fault.ts';
import { access, chmod, readFile, rm, writeFile } from '../../../kernel/files/files.ts';
import { makeFolders } from '../../../kernel/files/folders.ts';
import { plainWords } from '../../../kernel/text/plain-text.ts';
import {
  commandLine,
  maintenanceCommandLine,
  SANDBOX,
  type LaunchOptions,
  type VmFacts,
} from './command-line.ts';
import { QmpClient } from '../qmp/qmp-client.ts';
import { startRollingLog } from './rolling-log.ts';
import type { VmPaths } from '../state/vm-paths.ts';

const QEMU = 'qemu-system-x86_64';
/** QEMU listens after 50 ms on an idle machine; opening many large images takes longer. */
const START_MS_MAX = 60_000;
const FIRST_LOOK_MS = 5;
const LOOK_MS_MAX = 100;
/** Flushing caches to a slow disk takes a while. */
const QUIT_MS_MAX = 30_000;
const MESSAGE_CHARACTERS_MAX = 800;

export interface Launched {
  readonly qmp: QmpClient;
  /** Whether seccomp keeps QEMU from starting programs and the like. */
  readonly isSandboxed: boolean;
}

/**
 * Starts QEMU for a VM, detached: it goes on when the service ends. The guest does not run yet.
 *
 * @throws Fault `engine.start-failed` with QEMU's own text
 */
export async function launchQemu(options: LaunchOptions, signal: AbortSignal): Promise<Launched> {
  return launchSandboxed(options.paths, commandLine(options), signal);
}

/** Starts a QEMU with the layers of a VM and no guest. */
export async function launchMaintenance(vm: VmFacts, signal: AbortSignal): Promise<QmpClient> {
  return (await launchSandboxed(vm.paths, maintenanceCommandLine(vm), signal)).qmp;
}

async function launchSandboxed(
  paths: VmPaths,
  parameters: readonly string[],
  signal: AbortSignal,
): Promise<Launched> {
  try {
    const qmp = await launchOnce(paths, [...SANDBOX, ...parameters], signal);
    return { qmp, isSandboxed: true };
  } catch (error) {
    // Only a QEMU or kernel without seccomp is worth a second try.
    if (!isFault(error, 'engine.start-failed') || !/seccomp|sandbox/i.test(error.message)) {
      throw error;
    }
    return { qmp: await launchOnce(paths, parameters, signal), isSandboxed: false };
  }
}

async function launchOnce(
  paths: VmPaths,
  parameters: readonly string[],
  signal: AbortSignal,
): Promise<QmpClient> {
  await removeRunFolder(paths);
  await makeFolders(paths.runFolder);
  await chmod(paths.runFolder, PRIVATE_FOLDER_MODE);
  await writeFile(paths.launching, '');
  const serial = await startRollingLog(paths.serialLog);
  const messages = await startRollingLog(paths.messages);
  const child = spawn(QEMU, parameters, {
    detached: true,
    env: plainEnvironment(),
    cwd: '/',
    stdio: ['ignore', serial, messages],
  });
  child.unref();
  serial.destroy();
  messages.destroy();
  await requireStart(child, QEMU);
  const exited = new AbortController();
  child.once('exit', () => {
    exited.abort();
  });
  try {
    const qmp = await connectWhenReady(paths, exited.signal, signal);
    await rm(paths.launching, { force: true });
    return qmp;
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

async function connectWhenReady(
  paths: VmPaths,
  exited: AbortSignal,
  signal: AbortSignal,
): Promise<QmpClient> {
  const started = performance.now();
  for (let waitMs = FIRST_LOOK_MS; ; waitMs = Math.min(waitMs * 2, LOOK_MS_MAX)) {
    signal.throwIfAborted();
    try {
      return await QmpClient.connect(paths.monitor, signal);
    } catch (error) {
      // Not listening yet, or never: the checks below find out.
      if (!isFault(error, 'engine.unreachable')) {
        throw error;
      }
    }
    if (exited.aborted || performance.now() - started > START_MS_MAX) {
      throw await startFailed(paths);
    }
    await delay(waitMs, undefined, { signal });
  }
}

async function startFailed(paths: VmPaths): Promise<Fault> {
  // Its log process may not have written everything yet; without that text the fault says less.
  const said = await readFile(paths.messages, 'utf8').catch(() => '');
  const shown = plainWords(said, MESSAGE_CHARACTERS_MAX, 'end');
  return new Fault('engine.start-failed', `QEMU did not start: ${shown || 'it said nothing'}`);
}

/** Whether a launch has begun and has no monitor yet; also after it was cut off. */
export async function isLaunching(paths: VmPaths): Promise<boolean> {
  return access(paths.launching).then(
    () => true,
    () => false,
  );
}

/** Removes sockets and logs. The processes that write the logs end just after QEMU. */
export async function removeRunFolder({ runFolder }: VmPaths): Promise<void> {
  await rm(runFolder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
}

/**
 * Returns the pid of the VM's QEMU if it is running. A pid reused by another program does not
 * count.
 */
export async function runningPid(paths: VmPaths): Promise<number | undefined> {
  const text = await readFile(paths.pid, 'utf8').catch(absent);
  const pid = Number.parseInt(text ?? '', 10);
  if (!Number.isSafeInteger(pid) || pid <= 1) {
    return undefined;
  }
  const parameters = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(absent);
  return parameters?.split('\0').includes(paths.pid) === true ? pid : undefined;
}

/**
 * Whether the last QEMU ended by itself, with its images flushed and closed: then it removed its
 * pid file. A killed QEMU, or a host that went down, leaves the file, or no folder at all.
 */
export async function endedInOrder({ runFolder, pid }: VmPaths): Promise<boolean> {
  const isThere = async (path: string) =>
    access(path).then(
      () => true,
      () => false,
    );
  return (await isThere(runFolder)) && !(await isThere(pid));
}

/** Waits until QEMU is gone. @returns false if it is still there after `limitMs` */
export async function hasEnded(
  paths: VmPaths,
  limitMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const started = performance.now();
  for (let waitMs = FIRST_LOOK_MS; ; waitMs = Math.min(waitMs * 2, LOOK_MS_MAX)) {
    if ((await runningPid(paths)) === undefined) {
      return true;
    }
    if (performance.now() - started >= limitMs) {
      return false;
    }
    await delay(waitMs, undefined, { signal });
  }
}

/** Ends QEMU at once; its images are flushed and closed. A QEMU that hangs is killed. */
export async function quitQemu(paths: VmPaths, qmp: QmpClient, signal: AbortSignal): Promise<void> {
  await qmp.execute('quit', {}, signal).catch((error: unknown) => {
    // It may end before it answers.
    if (!isFault(error, 'engine.unreachable')) {
      throw error;
    }
  });
  if (await hasEnded(paths, QUIT_MS_MAX, signal)) {
    return;
  }
  await killQemu(paths, signal);
}

/** Whether the running QEMU only merges layers and has no guest. */
export async function isMaintenance(paths: VmPaths): Promise<boolean> {
  const pid = await runningPid(paths);
  const parameters = await readFile(`/proc/${String(pid)}/cmdline`, 'utf8').catch(absent);
  return parameters?.includes('\0-machine\0none\0') === true;
}

/**
 * Ends a QEMU without a guest: in order if that is possible within `limitMs`, else at once, and
 * then its merge is repeated. @returns whether it ended in order
 */
export async function endMaintenance(
  paths: VmPaths,
  limitMs: number,
  connected?: QmpClient,
): Promise<boolean> {
  const signal = AbortSignal.timeout(limitMs + QUIT_MS_MAX);
  try {
    await using qmp = connected ?? (await QmpClient.connect(paths.monitor, signal));
    await qmp.execute('quit', {}, signal, limitMs);
  } catch {
    // It has ended, or does not answer; the next lines find out.
  }
  if (!(await hasEnded(paths, limitMs, signal))) {
    await killQemu(paths, signal);
  }
  return endedInOrder(paths);
}

/** Kills a QEMU that no longer answers. What its guest flushed is on the disks. */
export async function killQemu(paths: VmPaths, signal: AbortSignal): Promise<void> {
  const pid = await runningPid(paths);
  if (pid !== undefined) {
    process.kill(pid, 'SIGKILL');
    await hasEnded(paths, QUIT_MS_MAX, signal);
  }
}

function absent(error: unknown): undefined {
  if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ESRCH') {
    return undefined;
  }
  throw error;
}
