// npm run soak -- store-lies [--seed N] [--rounds N] [--command NAME] [--kind list [--lie NAME]]
// [--real] [--count N]
//
// Every command that writes or removes, against an S3 server that lies about one kind of request:
// empty answers, pages, answers that are cut, 200 for what is missing, other objects' bytes, lists
// that leave keys out or are stale. With --real the server is a MinIO behind a proxy that lies,
// with versions and locks; --count draws so many trials. After each: all points that nobody gave up
// are whole, and what was reported as done is done.
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { RealScene } from '../support/store-lies/real-scene.ts';
import { LieTrials, type Trial } from '../support/store-lies/trials.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    command: { type: 'string' },
    kind: { type: 'string' },
    lie: { type: 'string' },
    real: { type: 'boolean', default: false },
    count: { type: 'string' },
  },
});
const seed = Number(values.seed ?? randomInt(2 ** 31));
console.log(`seed ${String(seed)}`);
await using trials = await LieTrials.open(seed, values.real ? await RealScene.open() : undefined);
const counts = new Map<string, Record<Trial['outcome'], number>>();
let wrong = 0;
const drawn =
  values.count === undefined
    ? trials.all(Number(values.rounds), values)
    : trials.some(Number(values.count));
for await (const trial of drawn) {
  const { command, kind, lie, outcome } = trial;
  for (const name of [`  ${kind}: ${lie}`, command]) {
    const row = counts.get(name) ?? { refused: 0, done: 0, unmet: 0, wrong: 0 };
    row[outcome] += 1;
    counts.set(name, row);
  }
  if (outcome === 'wrong') {
    wrong += 1;
    console.log(JSON.stringify(trial));
  }
}
console.table(Object.fromEntries(counts));
console.log(`${String(wrong)} wrong`);
process.exitCode = wrong > 0 ? 1 : 0;
