// npm run soak -- corruption [--count N] [--seed N] [--part BYTES]
//
// Changes one random byte of a vault with two points at a time, to which each adds so many bytes
// (default 2.5 MiB: frames are as long as they get), and restores everything: the same bytes or a
// fault, and never anything else.
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { randomCorruptions } from '../support/vault/random-corruptions.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '10000' },
    seed: { type: 'string' },
    part: { type: 'string', default: '2621440' },
  },
});
const seed = Number(values.seed ?? randomInt(2 ** 31));
console.log(`seed ${String(seed)}`);
const startMs = performance.now();
const { tried, outcomes } = await randomCorruptions(Number(values.count), seed, {
  partBytes: Number(values.part),
  report: (done) => {
    if (done % 1000 === 0) {
      console.log(`${String(done)} done, ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
    }
  },
});
for (const [outcome, count] of [...outcomes].sort((a, b) => b[1] - a[1])) {
  console.log(`${String(count).padStart(7)} ${outcome}`);
}
console.log(`${String(tried)} single-byte corruptions, no wrong byte restored`);
