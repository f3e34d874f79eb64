// npm run soak -- outside-hands [--minutes N] [--seed N]
//
// What administrators do behind our back, at random: replace, grow, shrink, revert, convert and
// write images, rename and unmount them, release, kill and start QEMU, between backups of a VM that
// is off or on. Every sealed state is compared with what qemu-img reads from the chain.
import { parseArgs } from 'node:util';
import { outsideHands } from '../support/outside-hands/outside-hands.ts';

const ROUNDS = 40;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
});
const endsAtMs = performance.now() + Number(values.minutes) * 60_000;
const total = new Map<string, number>();
for (let seed = Number(values.seed); performance.now() < endsAtMs; seed += 1) {
  console.log(`seed ${String(seed)}`);
  const log = (line: string) => {
    console.log(`  ${line}`);
  };
  for (const [what, count] of await outsideHands({ seed, rounds: ROUNDS, log })) {
    total.set(what, (total.get(what) ?? 0) + count);
  }
}
for (const [what, count] of [...total].sort(([a], [b]) => a.localeCompare(b))) {
  console.log(`${String(count).padStart(7)}  ${what}`);
}
