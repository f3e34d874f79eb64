// npm run soak -- homes [--homes N] [--vms N] [--runs N] [--seed N] [--no-guests]
//
// Three services on one database and one S3 server, each with ten fake VMs and a real guest, take
// the points of a policy, by a clock that is ten times as fast, while every 10 to 40 s one of them
// (five times: all of them) is killed at a step of a backup. When everything was left alone for two
// minutes, every sealed run has exactly one point, which is whole, no limit was exceeded, nothing
// is frozen or left over, and who has no point knows why.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { findingsTable, problemsOf } from '../support/homes/findings.ts';
import { gather } from '../support/homes/gather.ts';
import type { Home } from '../support/homes/home.ts';
import { HomesLab } from '../support/homes/homes-lab.ts';
import type { KillStep } from '../support/homes/kills.ts';

const { values } = parseArgs({
  options: {
    homes: { type: 'string', default: '3' },
    vms: { type: 'string', default: '10' },
    runs: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    guests: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
/** By the clock of the services: two minutes. */
const EVERY = '20m';
/** Nothing is due by itself any more, and what waits for another attempt is not replaced. */
const AT_LAST = '30d';
const HITS_MIN = 3;
const ALL_AT_ONCE = 5;
const PAUSE_MS = [10_000, 40_000] as const;
const ALONE_MS = 120_000;

console.log(`seed ${values.seed}`);
await using lab = await HomesLab.open({
  homes: Number(values.homes),
  vms: Number(values.vms),
  seed: Number(values.seed),
});
const startMs = performance.now();
await lab.begin();
if (values.guests) {
  await Promise.all(lab.homes.map(async (home) => home.addGuest()));
}
say('all services run');
await lab.apply(EVERY);

let together = 0;
for (let kills = 1; !(await isEnough()); kills++) {
  const { rarest } = lab.kills;
  const step = rarest[lab.random(rarest.length)];
  assert(step !== undefined);
  // Spread over all the time, in which every step is reached about as often as it has to be.
  const isAll = together < ALL_AT_ONCE && kills % 6 === 3;
  together += isAll ? 1 : 0;
  const victims = await kill(step, isAll);
  const [least, most] = PAUSE_MS;
  await Promise.all([pause(least + lab.random(most - least)), ...victims.map(startAgain)]);
}
say('everything is left alone');
await lab.apply(AT_LAST);
await pause(ALONE_MS);

const store = await lab.openStore();
const evidence = await gather(lab, store);
await store.close();
const problems = problemsOf(evidence);
for (const home of lab.homes) {
  const left = await home.stopGuest();
  problems.push(...left.map((path) => `${path} is left of a backup`));
}
console.log(
  `\n${lab.kills.table()}\nall at once: ${String(together)}\n\n${findingsTable(evidence)}`,
);
console.log(problems.length === 0 ? 'nothing is wrong' : problems.join('\n'));
process.exitCode = problems.length === 0 ? 0 : 1;

async function isEnough(): Promise<boolean> {
  return (await lab.runs()).length >= Number(values.runs) && lab.kills.least >= HITS_MIN;
}

/** Kills who is at that step next, or all. */
async function kill(step: KillStep, isAll: boolean): Promise<readonly Home[]> {
  const first = await lab.kills.at(step);
  const victims = isAll ? lab.homes : [first];
  for (const home of victims) {
    home.shoot();
  }
  const names = victims.map(({ name }) => name).join(', ');
  say(`${step.moment} ${step.name}: ${names}`);
  return victims;
}

async function startAgain(home: Home): Promise<void> {
  await home.gone();
  await home.start();
}

function say(what: string): void {
  const seconds = Math.round((performance.now() - startMs) / 1000);
  console.log(`${String(seconds).padStart(5)} s  ${what}`);
}
