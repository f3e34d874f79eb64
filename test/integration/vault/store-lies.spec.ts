import { Draw } from '../../support/draw.ts';
import { LieTrials, type Trial } from '../../support/store-lies/trials.ts';

const { seed } = new Draw('store lies');
/** One for each command. */
const COUNT = 13;

describe('a store that lies', () => {
  // npm run soak -- store-lies: every lie told to every command, with random seeds.
  it(`makes no command lose a point or say what is not so (seed ${String(seed)})`, async () => {
    await using trials = await LieTrials.open(seed);
    const all: Trial[] = [];
    for await (const trial of trials.some(COUNT)) {
      all.push(trial);
    }

    expect(all.filter(({ outcome }) => outcome === 'wrong')).toEqual([]);
    expect(all.filter(({ outcome }) => outcome === 'refused').length).toBeGreaterThan(0);
  });
});
