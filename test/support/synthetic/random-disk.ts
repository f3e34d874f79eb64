import { createCipheriv, randomBytes } from 'node:crypto';
import { DiskReader } from '../../../src/disk/disk-reader.ts';
import type { ContentExtent, Extent } from '../../../src/disk/extent.ts';

const ZERO = Buffer.alloc(64 * 1024);
const BLOCK_BYTES = 16;

/** A disk of random data that takes no memory: every read makes what it reads. No two have the same. */
export class RandomDisk extends DiskReader {
  override readonly size: number;
  readonly #key = randomBytes(16);

  constructor(size: number) {
    super();
    this.size = size;
  }

  /** From multiples of 16 on. */
  override async read(offset: number, target: Uint8Array): Promise<void> {
    const block = Buffer.alloc(BLOCK_BYTES);
    block.writeBigUInt64BE(BigInt(offset / BLOCK_BYTES), 8);
    const stream = createCipheriv('aes-128-ctr', this.#key, block);
    for (let at = 0; at < target.length; at += ZERO.length) {
      target.set(stream.update(ZERO.subarray(0, target.length - at)), at);
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
