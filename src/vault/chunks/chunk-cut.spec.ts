import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { cutChunks, cutFunction, SECTOR_BYTES } from './chunk-cut.ts';

const KEY = seededBytes('cut key', 132);
const RULES = { minSectors: 2, maxSectors: 32, cutBits: 3, cut: cutFunction(KEY, 3) };

function chunksOf(content: Uint8Array): { first: number; sectors: number }[] {
  const aligned = new Uint8Array(content.length);
  aligned.set(content);
  const words = new Uint32Array(aligned.buffer);
  const chunks: { first: number; sectors: number }[] = [];
  cutChunks(words, { from: 0, to: content.length / SECTOR_BYTES }, RULES, (first, sectors) => {
    chunks.push({ first, sectors });
  });
  return chunks;
}

/** A file as it is on a disk: the rest of its last sector is zero. */
function fileOnDisk(name: string, bytes: number): Uint8Array {
  const sectors = Math.ceil(bytes / SECTOR_BYTES);
  const content = new Uint8Array(sectors * SECTOR_BYTES);
  content.set(seededBytes(name, bytes));
  return content;
}

describe('cutChunks', () => {
  it('covers everything but holes, in order, within the limits', () => {
    const content = seededBytes('content', 400 * SECTOR_BYTES);
    content.fill(0, 100 * SECTOR_BYTES, 103 * SECTOR_BYTES);

    const chunks = chunksOf(content);

    let next = 0;
    for (const { first, sectors } of chunks) {
      expect(sectors).toBeLessThanOrEqual(32);
      expect(first === next || (next === 100 && first === 103)).toBe(true);
      next = first + sectors;
    }
    expect(next).toBe(400);
  });

  it('finds a file again between other files', () => {
    const file = fileOnDisk('file', 300_000);
    const here = Buffer.concat([fileOnDisk('before', 50_000), file, fileOnDisk('after', 20_000)]);
    const there = Buffer.concat([fileOnDisk('another', 33_000), file, fileOnDisk('last', 90_000)]);
    const lengthsFrom = (content: Uint8Array, sector: number): number[] =>
      chunksOf(content)
        .filter(({ first }) => first >= sector && first < sector + file.length / SECTOR_BYTES)
        .map(({ sectors }) => sectors);

    const lengths = lengthsFrom(here, 13);

    expect(lengths.reduce((sum, sectors) => sum + sectors, 0)).toBe(file.length / SECTOR_BYTES);
    expect(lengthsFrom(there, 9)).toEqual(lengths);
  });

  it('depends on the key', () => {
    const content = seededBytes('content', 400 * SECTOR_BYTES);
    const words = new Uint32Array(content.buffer.slice(0));
    const other: number[] = [];
    const cut = cutFunction(seededBytes('other key', 132), 3);
    cutChunks(words, { from: 0, to: 400 }, { ...RULES, cut }, (first) => other.push(first));

    expect(other).not.toEqual(chunksOf(content).map(({ first }) => first));
  });
});
