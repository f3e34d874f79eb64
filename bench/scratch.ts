import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Runs `work` with a new folder below `under`, and removes it afterwards, even if somebody stops
 * the bench (run.mjs turns signals into exits).
 */
export async function inScratchFolder<T>(
  under: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(under, 'hyperkeep-bench-'));
  const remove = (): void => {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once('exit', remove);
  try {
    return await work(folder);
  } finally {
    process.removeListener('exit', remove);
    await rm(folder, { recursive: true, force: true });
  }
}
