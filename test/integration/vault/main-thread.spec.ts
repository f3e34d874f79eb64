import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../../../src/kernel/command.ts';

const PROGRAM = fileURLToPath(new URL('../../support/vault/main-thread.main.ts', import.meta.url));
/** CPU time, not time on the clock: other programs do not count. */
const LIMIT_MS = 20;
/** Garbage collection and cold code can make one turn longer; not the same one every time. */
const RUNS_MAX = 6;
const TIMEOUT_MS = 600_000;
const { signal } = new AbortController();

async function longestTurns(): Promise<Record<string, number>> {
  const folder = await mkdtemp(join(tmpdir(), 'hk-busy-'));
  try {
    const { stdout } = await runCommand(process.execPath, [PROGRAM, folder], signal);
    return JSON.parse(stdout) as Record<string, number>;
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('The main thread', () => {
  it(
    'is never busy for 20 ms at a stretch while 300 MiB are backed up and restored',
    async () => {
      const best: Record<string, number> = {};
      const tooLong = () => Object.entries(best).filter(([, ms]) => ms > LIMIT_MS);
      for (let run = 0; run === 0 || (run < RUNS_MAX && tooLong().length > 0); run++) {
        for (const [name, ms] of Object.entries(await longestTurns())) {
          best[name] = Math.min(ms, best[name] ?? Infinity);
        }
      }

      expect(tooLong()).toEqual([]);
      expect(Object.keys(best)).toHaveLength(5);
    },
    TIMEOUT_MS,
  );
});
