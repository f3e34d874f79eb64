/** Where chunks end: docs/vault-format.md, section 9. */

export const SECTOR_BYTES = 4096;
const SECTOR_WORDS = SECTOR_BYTES / 4;
const SAMPLES = 33;
const STRIDE = 31;
const FIRST = 5;

export interface ChunkerParameters {
  readonly minSectors: number;
  /** A cut follows one sector in 2^cutBits. */
  readonly cutBits: number;
  readonly maxSectors: number;
}

export type CutFunction = (words: Uint32Array, sector: number) => boolean;

/**
 * Decides from a keyed sample of a sector's words whether a chunk may end after it. Without the key
 * nobody can tell from chunk lengths what was stored, or make data that cuts badly.
 */
export function cutFunction(key: Uint8Array, cutBits: number): CutFunction {
  const keyWords = new Uint32Array(SAMPLES);
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  for (let i = 0; i < SAMPLES; i++) {
    keyWords[i] = view.getUint32(i * 4, true);
  }
  const shift = 32 - cutBits;
  return (words, sector) => {
    const base = sector * SECTOR_WORDS + FIRST;
    let h = 0;
    for (let i = 0; i < SAMPLES; i++) {
      // Both indexes are inside their arrays by construction; `| 0` keeps the arithmetic in 32
      // bits.
      h = Math.imul(h ^ (((words[base + i * STRIDE] ?? 0) + (keyWords[i] ?? 0)) | 0), 0x9e3779b1);
      h ^= h >>> 15;
    }
    h = Math.imul(h ^ (h >>> 13), 0x85ebca77);
    h ^= h >>> 16;
    return h >>> shift === 0;
  };
}

/** True if the whole sector is zero. */
function isZeroSector(words: Uint32Array, sector: number): boolean {
  const start = sector * SECTOR_WORDS;
  const end = start + SECTOR_WORDS;
  for (let i = start; i < end; i++) {
    if (words[i] !== 0) {
      return false;
    }
  }
  return true;
}

/** A sector that ends in this many zero words looks like the end of a file. */
const TAIL_WORDS = 8;

/**
 * True if a file seems to end in the sector: file systems fill its last sector with zeroes. A chunk
 * that ends with its file is found again wherever another file system puts that file.
 */
function endsInZeroes(words: Uint32Array, sector: number): boolean {
  const end = (sector + 1) * SECTOR_WORDS;
  for (let i = end - TAIL_WORDS; i < end; i++) {
    if (words[i] !== 0) {
      return false;
    }
  }
  return true;
}

/**
 * Cuts the sectors [from, to) of `words` into chunks and holes, in order, and calls `chunk` for
 * each chunk. Sectors outside chunks are zero.
 */
export function cutChunks(
  words: Uint32Array,
  range: { readonly from: number; readonly to: number },
  rules: ChunkerParameters & { readonly cut: CutFunction },
  chunk: (first: number, sectors: number) => void,
): void {
  let start = range.from;
  for (let sector = range.from; sector < range.to; sector++) {
    if (isZeroSector(words, sector)) {
      if (sector > start) {
        chunk(start, sector - start);
      }
      start = sector + 1;
      continue;
    }
    const sectors = sector + 1 - start;
    if (
      sectors >= rules.maxSectors ||
      (sectors >= rules.minSectors && (endsInZeroes(words, sector) || rules.cut(words, sector)))
    ) {
      chunk(start, sectors);
      start = sector + 1;
    }
  }
  if (range.to > start) {
    chunk(start, range.to - start);
  }
}
