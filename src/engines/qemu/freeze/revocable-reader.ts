import { DiskReader } from '../../../disk/disk-reader.ts';
import type { ContentExtent, Extent } from '../../../disk/extent.ts';

/** A reader that fails once the frozen state must no longer be used. */
export class RevocableReader extends DiskReader {
  override readonly size: number;
  private readonly source: DiskReader;
  private readonly revoked: AbortSignal;

  constructor(source: DiskReader, revoked: AbortSignal) {
    super();
    this.size = source.size;
    this.source = source;
    this.revoked = revoked;
  }

  override async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    this.revoked.throwIfAborted();
    await this.source.read(offset, target, signal);
  }

  override async *extents(signal: AbortSignal, within?: Extent): AsyncIterable<ContentExtent> {
    this.revoked.throwIfAborted();
    yield* this.source.extents(signal, within);
  }

  override async close(): Promise<void> {
    await this.source.close();
  }
}
