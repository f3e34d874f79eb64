import { readFile } from 'node:fs/promises';

/** Returns the ids of the guard processes that a process has. */
export async function guardsOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8');
  const found: number[] = [];
  for (const child of children.trim().split(' ')) {
    const line = await readFile(`/proc/${child}/cmdline`, 'utf8').catch(() => '');
    if (line.includes('guard.main')) {
      found.push(Number(child));
    }
  }
  return found;
}
