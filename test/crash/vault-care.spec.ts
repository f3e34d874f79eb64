import { randomInt } from 'node:crypto';
import { KILL_JOBS } from '../support/kill-jobs.ts';
import { KillLab } from '../support/kill-lab.ts';
import { KillTrials } from '../support/kill-trials.ts';
import { seededNumbers } from '../support/seeded-numbers.ts';

const SEED = randomInt(2 ** 31);

/** At some requests; at all of them, and of a copy too: `npm run soak -- vault-kills`. */
describe(`a process on an S3 server is killed at requests drawn by seed ${String(SEED)}`, () => {
  let lab: KillLab;

  beforeAll(async () => {
    lab = await KillLab.open();
  });

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it.each([
    ['import', 2],
    ['collect', 5],
    ['keep', 2],
  ] as const)(
    '%s: another does the job, all points are whole, nothing is sent twice or left over',
    async (name, kills) => {
      const trials = await KillTrials.begin(lab, await KILL_JOBS[name](lab));
      for (const point of trials.spread(kills, seededNumbers(SEED))) {
        try {
          const { provenPoints } = await trials.kill(point, { between: false });
          expect(provenPoints).toBeGreaterThan(0);
        } catch (error) {
          throw new Error(`killed at ${JSON.stringify(point)}`, { cause: error });
        }
      }
    },
  );
});
