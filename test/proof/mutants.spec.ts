import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DAMAGES } from './damages.ts';
import { MUTANTS } from './mutants.ts';

const MAIN = fileURLToPath(new URL('./mutants.main.ts', import.meta.url));

describe('a check that never finds anything', () => {
  it('is noticed, whichever it is', async () => {
    expect(MUTANTS.filter(({ killedBy }) => !(killedBy in DAMAGES))).toEqual([]);
    // A process of its own: the modules are loaded anew for each of them.
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      MAIN,
    ]);

    expect(JSON.parse(stdout)).toEqual({ mutants: MUTANTS.length, survivors: [] });
  }, 300_000);
});
