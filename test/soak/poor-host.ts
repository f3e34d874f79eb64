// npm run soak -- poor-host [--seed TEXT] [--command NAME] [--surrounding NAME] [--at-once N]
//
// Each command on a host that lacks something: home or cache that cannot be written, no place for
// temporary files, no free byte or inode, files of another user, few open files, a clock that is
// off, a store that refuses, hangs or is slow; the service also while its database is killed. Never
// exit 70, a hang, a stack or a secret; and where nothing needed is lacking, the command works.
// Needs root, for mounts.
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { PoorHost } from '../support/poor-host/poor-host.ts';
import { SERVICE_SURROUNDINGS, serviceTrials } from '../support/poor-host/poor-service.ts';
import { COMMANDS, SURROUNDINGS } from '../support/poor-host/surroundings.ts';
import type { Trial } from '../support/poor-host/trial.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    command: { type: 'string' },
    surrounding: { type: 'string' },
    'at-once': { type: 'string', default: '2' },
  },
});
const seed = values.seed ?? String(randomInt(2 ** 31));
console.log(`seed ${seed}`);
await using host = await PoorHost.open(seed);
const surroundings = SURROUNDINGS.filter(({ name }) => name.includes(values.surrounding ?? ''));
const commands = Object.keys(COMMANDS).filter((name) => name.includes(values.command ?? ''));
const table = new Map<string, string[]>();
let wrong = 0;
const queue = surroundings.flatMap((surrounding) =>
  commands.map((command) => ({ surrounding, command })),
);

async function work(): Promise<void> {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const trial = await host.run(next.surrounding, next.command);
    note(trial);
  }
}

function note(trial: Trial): void {
  const seconds = Math.ceil(trial.durationMs / 1000);
  const mark = trial.wrong.length > 0 ? ' WRONG' : '';
  const cells = table.get(trial.surrounding) ?? [];
  const told = `${trial.command} ${String(trial.exitCode)}${mark} (${String(seconds)} s)`;
  cells.push(told);
  table.set(trial.surrounding, cells);
  console.log(`${trial.surrounding}: ${told}, ${String(queue.length)} to begin`);
  if (trial.wrong.length > 0) {
    wrong += 1;
    console.log(`${trial.surrounding}: ${trial.command}: ${trial.wrong.join(', ')}`);
    console.log(trial.output);
  }
}

await Promise.all(Array.from({ length: Number(values['at-once']) }, work));
if (values.command === undefined) {
  for (const surrounding of SERVICE_SURROUNDINGS) {
    if (surrounding.name.includes(values.surrounding ?? '')) {
      (await serviceTrials(surrounding, seed)).forEach(note);
    }
  }
}
for (const [name, cells] of table) {
  console.log(`${name}: ${cells.join(', ')}`);
}
const runs = [...table.values()].reduce((sum, { length }) => sum + length, 0);
console.log(`${String(runs)} runs, ${String(wrong)} wrong`);
process.exitCode = wrong > 0 ? 1 : 0;
