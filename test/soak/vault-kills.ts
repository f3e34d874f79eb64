// npm run soak -- vault-kills [--job NAME] [--step "PUT gc/"] [--changing]
//
// Kills each job on a vault with SIGKILL before and after each of its requests to a real S3 server,
// lets another process do the job, and looks whether all points are whole, nothing was sent twice
// and nothing is left over. --changing: not at requests that only read.
import { parseArgs } from 'node:util';
import { KILL_JOBS } from '../support/kill/kill-jobs.ts';
import { KillLab } from '../support/kill/kill-lab.ts';
import { KillTrials } from '../support/kill/kill-trials.ts';

const { values } = parseArgs({
  options: {
    job: { type: 'string' },
    step: { type: 'string' },
    changing: { type: 'boolean', default: false },
  },
});
await using lab = await KillLab.open();
const results = [];
for (const [name, begin] of Object.entries(KILL_JOBS)) {
  if (values.job !== undefined && values.job !== name) {
    continue;
  }
  const trials = await KillTrials.begin(lab, await begin(lab));
  const startMs = performance.now();
  let [kills, provenPoints, mostTwice, failed] = [0, 0, 0, 0];
  const moments = (values.changing ? trials.changing : trials.points).filter(
    ({ step }) => values.step === undefined || values.step === step,
  );
  console.log(`${name}: ${String(moments.length)} kills`);
  for (const point of moments) {
    try {
      const trial = await trials.kill(point, { between: true });
      provenPoints += trial.provenPoints;
      mostTwice = Math.max(mostTwice, trial.twice);
    } catch (error) {
      failed += 1;
      console.log(`${name}: ${JSON.stringify(point)}`, error);
    }
    kills += 1;
    if (kills % 10 === 0) {
      const passed = ((performance.now() - startMs) / 1000).toFixed(0);
      console.log(`  ${String(kills)} of ${String(moments.length)}, ${passed} s`);
    }
  }
  const seconds = Math.round((performance.now() - startMs) / 1000);
  results.push({ job: name, kills, failed, provenPoints, mostTwice, seconds });
  console.log(results.at(-1));
}
console.table(results);
process.exitCode = results.some(({ failed }) => failed > 0) ? 1 : 0;
