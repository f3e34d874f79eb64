import type { Extent } from './extent.ts';

/**
 * A new disk that is being filled. Ranges that are never written read as zeroes, and take no space
 * if the format allows. Writes to different ranges may run at once.
 */
export abstract class DiskWriter implements AsyncDisposable {
  abstract readonly size: number;

  /**
   * Path of a raw image, if there is one, that worker threads may write beside this writer until
   * the disk is closed. `zero` does not know what they wrote.
   */
  readonly rawFile?: string;

  /** Writes `data` at `offset`. The data may live in a SharedArrayBuffer. */
  abstract write(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void>;

  /** Makes a range zero and frees its space. */
  abstract zero(extent: Extent, signal: AbortSignal): Promise<void>;

  /** Resolves once everything written before is durable. */
  abstract flush(signal: AbortSignal): Promise<void>;

  abstract close(): Promise<void>;

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
