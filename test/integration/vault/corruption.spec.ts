import { readFile } from 'node:fs/promises';
import { CorruptionMatrix, corruptionPage, rowsOf } from '../../support/vault/corruption-matrix.ts';
import { Draw } from '../../support/draw.ts';
import { randomCorruptions } from '../../support/vault/random-corruptions.ts';

const ROWS = 16;
/** More: npm run soak -- corruption. */
const BYTES = 100;
const draw = new Draw('corruption');
const page = await readFile(new URL('../../../docs/corruption.md', import.meta.url), 'utf8');
const rows = rowsOf(page);

describe('a vault with one damaged object', () => {
  let matrix: CorruptionMatrix;

  beforeAll(async () => {
    matrix = await CorruptionMatrix.create();
  });

  it('is in docs/corruption.md with every damage there is', async () => {
    expect(rows.map(({ object, what }) => ({ object, what }))).toEqual(matrix.cases);
    expect(await corruptionPage(rows)).toBe(page);
    // Only objects that nothing refers to may be damaged unnoticed.
    const unnoticed = rows.filter(({ detectedBy }) => detectedBy.length === 0);
    expect(unnoticed.every(({ what }) => what === 'remove')).toBe(true);
  });

  it.each(draw.some(rows, ROWS))(
    'is noticed and mended as docs/corruption.md says: $object, $what',
    async (row) => {
      const found = matrix.cases[rows.indexOf(row)];

      expect(found && (await matrix.row(found))).toEqual(row);
    },
  );

  it('never restores a wrong byte, whichever byte of it is changed to whatever', async () => {
    // Wrong content, and errors that are no faults, are thrown with the place and the seed.
    const { tried, outcomes } = await randomCorruptions(BYTES, draw.seed);

    expect(tried).toBe(BYTES);
    expect(outcomes.get('same')).toBeGreaterThan(0);
    expect(outcomes.size).toBeGreaterThan(1);
  });
});
