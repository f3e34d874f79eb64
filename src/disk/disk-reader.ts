import type { ContentExtent, Extent } from './extent.ts';

/**
 * A disk that does not change while it is read: a frozen layer chain, an image file, a recovery
 * point.
 *
 * An implementation promises, and test/contract/disk.contract.ts proves:
 * - `extents` covers exactly the requested range, ascending and without gaps; what it calls `zero`
 *   reads as zeroes;
 * - `read` fills the whole target or throws; several reads may run at once;
 * - after `close` none of its files, sockets or processes is left.
 */
export abstract class DiskReader implements AsyncDisposable {
  /** Length of the disk in bytes; not always a multiple of the sector size. */
  abstract readonly size: number;

  /** Path of a raw image with the same content, if there is one that worker threads may open. */
  readonly rawFile?: string;

  /** Fills `target` from `offset`. The target may live in a SharedArrayBuffer. */
  abstract read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void>;

  /** Yields what the ranges of `within` hold; default: the whole disk. */
  abstract extents(signal: AbortSignal, within?: Extent): AsyncIterable<ContentExtent>;

  abstract close(): Promise<void>;

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
