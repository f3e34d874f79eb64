// npm run soak -- strangers [--rounds N]
//
// Another user of the machine (uid 65534, no groups, no rights) against a service of root with a
// database of its own, a running VM and a vault: reads, writes, deletes, connects, listens under
// old addresses, plants links. Each round is a home, a service and all attacks; one that comes
// through ends the run with an error. Only root can play somebody else.
import { parseArgs } from 'node:util';
import { HomeLab } from '../support/strangers/home-lab.ts';
import { attackAll } from '../support/strangers/round.ts';
import { whyNoStrangers } from '../support/strangers/stranger.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' } } });

const reason = await whyNoStrangers();
if (reason !== undefined) {
  console.log(`Skipped: ${reason}.`);
  process.exit(0);
}
const controller = new AbortController();
process.once('SIGINT', () => {
  controller.abort();
});
let came = 0;
for (let round = 1; round <= Number(values.rounds); round += 1) {
  await using lab = await HomeLab.make(controller.signal);
  let count = 0;
  for await (const { name, through } of attackAll(lab, controller.signal)) {
    count += 1;
    came += through.length === 0 ? 0 : 1;
    console.log(`${through.length === 0 ? 'held   ' : 'THROUGH'} ${name}`);
    for (const what of through) {
      console.log(`          ${what}`);
    }
  }
  console.log(`round ${String(round)}: ${String(count)} attacks, ${String(came)} came through`);
}
process.exitCode = came === 0 ? 0 : 1;
