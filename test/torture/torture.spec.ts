import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Draw } from '../support/draw.ts';
import { MUTANTS } from './mutant-store.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
/** More of it: npm run torture -- --seconds 600. */
const SCHEDULES = 12;
/** Where to start looking for a schedule in which a mutant loses something: one comes soon. */
const MUTANT_SEEDS: Record<(typeof MUTANTS)[number], number> = {
  'no-w2': 30,
  'no-g2': 1,
  'no-retire-check': 30,
  'wrong-chunk': 1,
};

/** A process of its own: in it even chance follows from the seed. */
async function torture(...parameters: string[]): Promise<{ exitCode: number; output: string }> {
  const flags = ['--disable-warning=ExperimentalWarning', MAIN, ...parameters];
  let output = '';
  const child = execFile(process.execPath, flags);
  child.stdout?.on('data', (piece: string) => (output += piece));
  child.stderr?.on('data', (piece: string) => (output += piece));
  const [exitCode] = (await once(child, 'close')) as [number];
  return { exitCode, output };
}

describe('writers, collectors, operators and readers at once', () => {
  const { seed } = new Draw('torture');

  it(`lose nothing in ${String(SCHEDULES)} schedules from seed ${String(seed)} on`, async () => {
    const { exitCode, output } = await torture(
      ...['--seed', String(seed)],
      ...['--schedules', String(SCHEDULES)],
    );
    console.log(output);

    expect(output).toContain('nothing was lost');
    expect(exitCode).toBe(0);
  });

  it('take the same way for the same seed', async () => {
    const run = async () =>
      (await torture('--only', '7', '--history')).output.replace(/ in .* per second/, '');

    expect(await run()).toBe(await run());
  });

  it.each(MUTANTS)('would be seen to lose something: %s', async (mutant) => {
    const from = String(MUTANT_SEEDS[mutant]);
    const { output } = await torture('--seed', from, '--schedules', '150', '--mutant', mutant);

    expect(output).toContain('failed: ');
  });

  it('are judged by a verify and a restore that both find content which is not what its id says', async () => {
    const { output } = await torture('--seed', '1', '--schedules', '20', '--mutant', 'wrong-chunk');

    expect(output).toContain('verify finds vault.chunk-corrupt');
    expect(output).toContain('does not have the content that its id says');
  });
});
