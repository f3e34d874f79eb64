import { randomInt } from 'node:crypto';
import { GoldenFiles } from './golden-files.ts';

const FUZZ_MS = 4000;

describe('a golden vault in which one object was changed', () => {
  it('is read, or gives a fault: no crash, no hang', async () => {
    const files = await GoldenFiles.open();
    const seed = randomInt(2 ** 31);

    // What fails is printed with its seed.
    await files.fuzz(FUZZ_MS, seed);

    expect(files.outcomes.used).toBeGreaterThan(0);
  });
});
