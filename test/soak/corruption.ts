// npm run soak -- corruption [--count N] [--seed N] [--part BYTES]
// npm run soak -- corruption --matrix
//
// With --matrix all rows of docs/corruption.md, of which `npm test` draws some. Else:
//
// Changes one random byte of a vault with two points at a time, to which each adds so many bytes
// (default 2.5 MiB: frames are as long as they get), and restores everything: the same bytes or a
// fault, and never anything else.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { CorruptionMatrix, corruptionPage } from '../support/vault/corruption-matrix.ts';
import { randomCorruptions } from '../support/vault/random-corruptions.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '10000' },
    seed: { type: 'string' },
    matrix: { type: 'boolean', default: false },
    part: { type: 'string', default: '2621440' },
  },
});
if (values.matrix) {
  const matrix = await CorruptionMatrix.create();
  const page = await readFile(new URL('../../docs/corruption.md', import.meta.url), 'utf8');
  assert.equal(await corruptionPage(await matrix.rows()), page);
  console.log(
    `${String(matrix.cases.length)} damages are noticed and mended as docs/corruption.md says`,
  );
  process.exit();
}
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
