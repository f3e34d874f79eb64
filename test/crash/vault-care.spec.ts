import { randomInt } from 'node:crypto';
import { KILL_JOBS } from '../support/kill/kill-jobs.ts';
import { KEY_KILL_JOBS } from '../support/kill/kill-key-jobs.ts';
import { KillLab } from '../support/kill/kill-lab.ts';
import { MEND_KILL_JOBS } from '../support/kill/kill-mend-jobs.ts';
import { POINT_KILL_JOBS } from '../support/kill/kill-point-jobs.ts';
import { KillTrials } from '../support/kill/kill-trials.ts';
import { seededNumbers } from '../support/random/seeded-numbers.ts';

const SEED = randomInt(2 ** 31);

/** Draws one kill each for this many of the other jobs. */
function drawn(count: number): [keyof typeof KILL_JOBS, number][] {
  const random = seededNumbers(SEED);
  const left = Object.keys({
    ...MEND_KILL_JOBS,
    ...POINT_KILL_JOBS,
    ...KEY_KILL_JOBS,
  }) as (keyof typeof KILL_JOBS)[];
  return Array.from({ length: count }, () => [left.splice(random(left.length), 1)[0] ?? 'keep', 1]);
}

/** At some requests; at all of them, and of a copy too: `npm run soak -- vault-kills`. */
describe(`a process on an S3 server is killed at requests drawn by seed ${String(SEED)}`, () => {
  let lab: KillLab;

  beforeAll(async () => {
    lab = await KillLab.open();
  });

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it.each([['import', 2], ['collect', 5], ['keep', 2], ...drawn(3)] as const)(
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
