import type { Extent } from './extent.ts';

/**
 * A new disk being filled. Ranges that are never written read as zeroes and take no space where
 * the format allows. Several writes to different ranges may run at once.
 */
export abstract class DiskWriter implements AsyncDisposable {
  abstract readonly size: number;

  /**
   * Path of a raw image that worker threads may write into side by side with this writer, if there
   * is one. It holds until the disk is closed; what others wrote, `zero` does not know.
   */
  readonly rawFile?: string;

  /** Writes `data` at `offset`. The data may live in a SharedArrayBuffer. */
  abstract write(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void>;

  /** Makes a range zero, giving its space back. */
  abstract zero(extent: Extent, signal: AbortSignal): Promise<void>;

  /** Returns when everything written before is durable. */
  abstract flush(signal: AbortSignal): Promise<void>;

  abstract close(): Promise<void>;

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
