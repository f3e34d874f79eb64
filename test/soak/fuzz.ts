// npm run soak -- fuzz [--seconds N] [--seed N]
//
// Feeds mutated bytes to every parser, in turns of a second each, and a golden vault with a changed
// object to everything that reads vaults, in turns of ten, for as long as asked.
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { GoldenFiles } from '../fuzz/golden-files.ts';
import { otherTargets } from '../fuzz/other-targets.ts';
import { recordTargets } from '../fuzz/record-targets.ts';
import { fuzz, type FuzzResult } from '../fuzz/target.ts';
import { vaultTargets } from '../fuzz/vault-targets.ts';

const GOLDEN_MS = 10_000;
/** A turn takes seeds from its own on, one for each round. */
const ROUNDS_MAX = 100_000;
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '300' }, seed: { type: 'string' } },
});
const endsAtMs = performance.now() + Number(values.seconds) * 1000;
const seed = Number(values.seed ?? randomInt(2 ** 31));
console.log(`seed ${String(seed)}`);
const targets = [...(await vaultTargets()), ...recordTargets(), ...otherTargets()];
const golden = await GoldenFiles.open();
const totals = new Map<string, FuzzResult>();
for (let turn = 0; performance.now() < endsAtMs; turn++) {
  await golden.fuzz(GOLDEN_MS, seed + turn * ROUNDS_MAX);
  for (const target of targets) {
    const result = fuzz(target, 1000, seed + turn * ROUNDS_MAX);
    const before = totals.get(target.name);
    totals.set(target.name, {
      name: target.name,
      calls: result.calls + (before?.calls ?? 0),
      accepted: result.accepted + (before?.accepted ?? 0),
      slowestMs: Math.max(result.slowestMs, before?.slowestMs ?? 0),
      largestBytes: Math.max(result.largestBytes, before?.largestBytes ?? 0),
    });
  }
}
console.log('golden vaults with a changed object:', golden.outcomes);
console.table([...totals.values()]);
