import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { corruptionMatrix, corruptionPage } from '../support/corruption-matrix.ts';
import { randomCorruptions } from '../support/random-corruptions.ts';

describe('a vault with one damaged object', () => {
  it('is noticed and mended as docs/corruption.md says', async () => {
    const rows = await corruptionMatrix();
    const page = await readFile(new URL('../../docs/corruption.md', import.meta.url), 'utf8');

    expect(await corruptionPage(rows)).toBe(page);
    // What nobody refers to can go unnoticed; nothing that is there and damaged can.
    const unnoticed = rows.filter(({ detectedBy }) => detectedBy.length === 0);
    expect(unnoticed.every(({ what }) => what === 'remove')).toBe(true);
  }, 400_000);

  it('never restores a wrong byte, whichever byte of it is changed to whatever', async () => {
    // Wrong content, and errors that are no faults, are thrown with the place and the seed.
    const { tried, outcomes } = await randomCorruptions(300, randomInt(2 ** 31));

    expect(tried).toBe(300);
    expect(outcomes.get('same')).toBeGreaterThan(0);
    expect(outcomes.size).toBeGreaterThan(1);
  }, 400_000);
});
