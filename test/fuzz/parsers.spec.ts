import { Draw } from '../support/draw.ts';
import { otherTargets } from './other-targets.ts';
import { recordTargets } from './record-targets.ts';
import { fuzz } from './target.ts';
import { vaultTargets } from './vault-targets.ts';

/** More of it: npm run soak -- fuzz. */
const TARGET_MS = 150;
const { seed } = new Draw('parsers');
const targets = [...(await vaultTargets()), ...recordTargets(), ...otherTargets()];

describe('parsers of what others wrote', () => {
  it.each(targets)('$name: no crash, no hang, no memory bomb, always a fault', (target) => {
    // Jest prints the error, which names the seed; the examples below show that inputs get through.
    const { calls, accepted } = fuzz(target, TARGET_MS, seed);

    expect(accepted).toBeLessThan(calls);
  });
});
