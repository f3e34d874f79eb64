// npm run torture -- [--seconds N] [--schedules N] [--seed S] [--only SEED] [--mutant NAME]
// [--history]
//
// Writers, collectors, operators and readers on one simulated store, in as many orders as time
// allows. Every schedule follows from its seed alone.
import './fixed-chance-at-load.ts';
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { GarbageRounds } from '../../src/kernel/memory/garbage.ts';
import { fixChance } from './fixed-chance.ts';
import { prepareVault } from './lab.ts';
import { MUTANTS } from './mutant-store.ts';
import { runSchedule } from './schedule/schedule.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    schedules: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    mutant: { type: 'string' },
    history: { type: 'boolean', default: false },
  },
});
const mutant = MUTANTS.find((name) => name === values.mutant);
const first = Number(values.only ?? values.seed ?? Date.now() % 1_000_000_000);
const schedules = values.only === undefined ? Number(values.schedules ?? Infinity) : 1;
const seconds =
  values.schedules === undefined
    ? Number(values.seconds ?? 60)
    : Number(values.seconds ?? Infinity);
/** One is enough to see that a mutant fails. */
const FAILURES_MAX = mutant === undefined ? 5 : 1;

fixChance('the vault');
const prepared = await prepareVault();
const began = performance.now();
const ended = new Map<string, number>();
const sum = { schedules: 0, requests: 0, points: 0, checked: 0 };
const failed: number[] = [];
console.log(`torture: seed ${String(first)}`);
// A vault holds megabytes behind a few small objects.
const garbage = new GarbageRounds({ young: 4, all: 8 });
for (let seed = first; sum.schedules < schedules; seed++) {
  const elapsed = (performance.now() - began) / 1000;
  if (elapsed > seconds || failed.length >= FAILURES_MAX) {
    break;
  }
  const result = await runSchedule(prepared, seed, mutant);
  await setImmediate();
  garbage.turn();
  sum.schedules += 1;
  sum.requests += result.requests;
  sum.points += result.points;
  sum.checked += result.checked;
  for (const [how, count] of result.happened) {
    ended.set(how, (ended.get(how) ?? 0) + count);
  }
  if (result.problems.length > 0) {
    failed.push(seed);
    console.log(`\nschedule ${String(seed)}:`);
    for (const problem of result.problems.slice(0, 8)) {
      console.log(`  ${problem}`);
    }
    const mutation = mutant === undefined ? '' : ` --mutant ${mutant}`;
    console.log(`  again: npm run torture -- --only ${String(seed)} --history${mutation}`);
  }
  if (values.history) {
    console.log(result.history.join('\n'));
  }
}
const elapsed = (performance.now() - began) / 1000;
console.log(
  `\n${String(sum.schedules)} schedules in ${elapsed.toFixed(1)} s (${(sum.schedules / elapsed).toFixed(0)} per second), ${String(sum.requests)} requests, ${String(sum.points)} points reported, ${String(sum.checked)} of them checked`,
);
for (const [how, count] of [...ended].sort((a, b) => b[1] - a[1])) {
  console.log(`  ${String(count).padStart(6)} × ${how}`);
}
console.log(failed.length === 0 ? 'nothing was lost' : `failed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
