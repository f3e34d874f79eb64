import { join } from 'node:path';
import { systemCode } from '../../kernel/fault.ts';
import { readFile, readlink } from '../../kernel/files/files.ts';
import type { Log } from '../../kernel/log.ts';
import type { Cluster } from './postgres-cluster.ts';
import { nothingIfMissing } from './postgres-owner.ts';
import { STOP_TIMEOUT_MS } from './postgres-process.ts';

const EXIT_POLL_MS = 50;

/** Returns the process in postmaster.pid, if it is alive and really the server of this cluster. */
async function survivor({ data }: Cluster): Promise<number | undefined> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(nothingIfMissing);
  const pid = Number.parseInt(text ?? '', 10);
  if (!Number.isSafeInteger(pid) || pid <= 1) {
    return undefined;
  }
  // Another process may have this number since: the server's working folder is its data folder.
  const folder = await readlink(`/proc/${String(pid)}/cwd`).catch((error: unknown) => {
    if (!['ENOENT', 'EACCES', 'ESRCH'].includes(systemCode(error) ?? '')) {
      throw error;
    }
    return undefined;
  });
  return folder === data ? pid : undefined;
}

/** Stops a server that outlived the process that started it. */
export async function stopSurvivor(cluster: Cluster, log: Log, signal: AbortSignal): Promise<void> {
  const pid = await survivor(cluster);
  if (pid === undefined) {
    return;
  }
  log.warn('database.found-running', { pid });
  const deadlineMs = performance.now() + STOP_TIMEOUT_MS;
  send(pid, 'SIGINT');
  // It is not our child, so nothing reports its end.
  while ((await survivor(cluster)) === pid) {
    signal.throwIfAborted();
    if (performance.now() > deadlineMs) {
      send(pid, 'SIGQUIT');
    }
    await new Promise((resolve) => setTimeout(resolve, EXIT_POLL_MS));
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It has already ended, as intended.
    if (systemCode(error) !== 'ESRCH') {
      throw error;
    }
  }
}
