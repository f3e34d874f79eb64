import { Draw } from '../support/draw.ts';
import { KILL_JOBS } from '../support/kill/kill-jobs.ts';
import { KEY_KILL_JOBS } from '../support/kill/kill-key-jobs.ts';
import { KillLab } from '../support/kill/kill-lab.ts';
import { MEND_KILL_JOBS } from '../support/kill/kill-mend-jobs.ts';
import { POINT_KILL_JOBS } from '../support/kill/kill-point-jobs.ts';
import { KillTrials } from '../support/kill/kill-trials.ts';

const draw = new Draw('vault care');
const OTHERS = Object.keys({
  ...MEND_KILL_JOBS,
  ...POINT_KILL_JOBS,
  ...KEY_KILL_JOBS,
}) as (keyof typeof KILL_JOBS)[];
/** How many kills of a job. A run draws 3 of the 15 others: each is among them in 1 run of 5. */
const KILLS = [
  ...([
    ['import', 1],
    ['collect', 3],
    ['keep', 1],
  ] as const),
  ...draw.some(OTHERS, 3).map((name) => [name, 1] as const),
];

/** At some requests; at all of them, and of a copy too: `npm run soak -- vault-kills`. */
describe('a process on an S3 server is killed at requests that are drawn', () => {
  let lab: KillLab;

  beforeAll(async () => {
    lab = await KillLab.open();
  });

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it.each(KILLS)(
    '%s: another does the job, all points are whole, nothing is sent twice or left over',
    async (name, kills) => {
      const trials = await KillTrials.begin(lab, await KILL_JOBS[name](lab));
      for (const point of trials.spread(kills, draw.number)) {
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
