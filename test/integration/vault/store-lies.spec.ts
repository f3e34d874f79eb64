import { LieTrials, type Trial } from '../../support/store-lies/trials.ts';

const SEED = 20261130;
const COUNT = 26;

describe('a store that lies', () => {
  // npm run soak -- store-lies: every lie told to every command, with random seeds.
  it(`makes no command lose a point or say what is not so (seed ${SEED})`, async () => {
    await using trials = await LieTrials.open(SEED);
    const all: Trial[] = [];
    for await (const trial of trials.some(COUNT)) {
      all.push(trial);
    }

    expect(all.filter(({ outcome }) => outcome === 'wrong')).toEqual([]);
    expect(all.filter(({ outcome }) => outcome === 'refused').length).toBeGreaterThan(5);
  });
});
