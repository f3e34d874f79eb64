import { readFile, writeFile } from 'node:fs/promises';

/** Bytes of a process in memory now, shared ones included. */
export async function residentMemory(pid: number): Promise<number> {
  return statusBytes(pid, 'VmRSS');
}

/** The most it had in memory since it started, or since `resetPeak`. */
export async function peakMemory(pid: number): Promise<number> {
  return statusBytes(pid, 'VmHWM');
}

export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${String(pid)}/clear_refs`, '5');
}

async function statusBytes(pid: number, field: string): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8');
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status);
  if (found === null) {
    throw new Error(`/proc/${String(pid)}/status has no ${field}`);
  }
  return Number(found[1]) * 1024;
}
