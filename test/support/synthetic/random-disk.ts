import { randomInt } from 'node:crypto';
import { DiskReader } from '../../../src/disk/disk-reader.ts';
import type { ContentExtent, Extent } from '../../../src/disk/extent.ts';

/**
 * A disk of random data that takes no memory: every read makes its data. No two disks have the
 * same.
 */
export class RandomDisk extends DiskReader {
  override readonly size: number;
  readonly #seed = randomInt(2 ** 32);

  constructor(size: number) {
    super();
    this.size = size;
  }

  /** Whole words; nothing is left behind that somebody would have to take away. */
  override async read(offset: number, target: Uint8Array): Promise<void> {
    const words = new Uint32Array(target.buffer, target.byteOffset, target.length / 4);
    let state = (this.#seed + offset / 4) | 0;
    for (let word = 0; word < words.length; word++) {
      state = (state + 0x9e37_79b9) | 0;
      const mixed = Math.imul(state ^ (state >>> 16), 0x85eb_ca6b);
      words[word] = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
    }
  }

  override async *extents(
    _signal: AbortSignal,
    within: Extent = { offset: 0, length: this.size },
  ): AsyncIterable<ContentExtent> {
    yield { ...within, content: 'data' };
  }

  override async close(): Promise<void> {
    // Nothing is open.
  }
}
