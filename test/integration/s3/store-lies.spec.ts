import { RealScene } from '../../support/store-lies/real-scene.ts';
import { LieTrials, type Trial } from '../../support/store-lies/trials.ts';

const SEED = 20261130;

describe('a real server behind a proxy that lies', () => {
  // npm run soak -- store-lies --real: every lie told to every command.
  it(`makes the keeper of locks miss nothing when a list of versions shows nothing (seed ${SEED})`, async () => {
    await using trials = await LieTrials.open(SEED, await RealScene.open());
    const all: Trial[] = [];
    for await (const trial of trials.all(1, {
      command: 'keep',
      kind: 'versions',
      lie: 'nothing',
    })) {
      all.push(trial);
    }

    expect(all).toMatchObject([{ outcome: 'refused', detail: 'vault.list-incomplete' }]);
  });
});
