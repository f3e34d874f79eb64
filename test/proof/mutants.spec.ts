import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Draw } from '../support/draw.ts';
import { DAMAGES } from './damages.ts';
import { MUTANTS } from './mutants.ts';

const MAIN = fileURLToPath(new URL('./mutants.main.ts', import.meta.url));

/** Of all checks; npm run soak -- drawn mutants takes each of them. */
const COUNT = 10;
const draw = new Draw('mutants');
const SOURCES = new URL('../../src/vault/', import.meta.url);

describe('a check that never finds anything', () => {
  it('is in the code once, and there is a damage that shows it', async () => {
    expect(MUTANTS.filter(({ killedBy }) => !(killedBy in DAMAGES))).toEqual([]);
    for (const { file, from } of MUTANTS) {
      const text = await readFile(new URL(file, SOURCES), 'utf8');
      expect({ from, pieces: text.split(from).length }).toEqual({ from, pieces: 2 });
    }
  });

  it('is noticed, whichever it is', async () => {
    const places = draw.some([...MUTANTS.keys()], COUNT);
    // In a separate process, which loads the modules again for each mutant.
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      ...[MAIN, ...places.map(String)],
    ]);

    expect(JSON.parse(stdout)).toEqual({ mutants: places.length, survivors: [] });
  }, 300_000);
});
