import { Draw } from '../support/draw.ts';
import { GoldenFiles } from './golden-files.ts';

/** More of it: npm run soak -- fuzz. */
const FUZZ_MS = 1500;
const { seed } = new Draw('golden files');

describe('a golden vault in which one object was changed', () => {
  it('is read, or gives a fault: no crash, no hang', async () => {
    const files = await GoldenFiles.open();
    // What fails is printed with its seed.
    await files.fuzz(FUZZ_MS, seed);

    expect(files.outcomes.used).toBeGreaterThan(0);
  });
});
