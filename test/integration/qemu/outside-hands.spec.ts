import { outsideHands } from '../../support/outside-hands/outside-hands.ts';

/** Seeds with a short life each; `npm run soak -- outside-hands` goes on with others. */
const SEEDS = [3, 17];
const ROUNDS = 6;

describe('A VM on whose disks administrators lay hands', () => {
  it.each(SEEDS)('is backed up as its chain is, or refused (seed %d)', async (seed) => {
    const lines: string[] = [];
    const log = (line: string) => lines.push(line);

    const counts = await outsideHands({ seed, rounds: ROUNDS, log }).catch((error: unknown) => {
      throw new Error(lines.join('\n'), { cause: error });
    });

    expect(counts.get('sealed')).toBeGreaterThanOrEqual(ROUNDS);
  });
});
