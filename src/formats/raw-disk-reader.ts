import { assertInside } from '../disk/bounds.ts';
import { DiskReader } from '../disk/disk-reader.ts';
import type { ContentExtent, Extent } from '../disk/extent.ts';
import { Fault } from '../kernel/fault.ts';
import { open, type FileHandle } from '../kernel/files/files.ts';
import { ChainReader } from './chain-reader.ts';
import { onFile } from './file-fault.ts';

/**
 * A raw image, read directly. Node cannot find the holes of a file, so a qemu-nbd reports them; it
 * also holds the lock that keeps writers away.
 */
export class RawDiskReader extends DiskReader {
  override readonly size: number;
  override readonly rawFile: string;
  private readonly file: FileHandle;
  private readonly chain: ChainReader;
  private closing: Promise<void> | undefined;

  private constructor(
    path: string,
    opened: { size: number; file: FileHandle; chain: ChainReader },
  ) {
    super();
    this.rawFile = path;
    this.size = opened.size;
    this.file = opened.file;
    this.chain = opened.chain;
  }

  /** Opens an image, which must have been inspected. */
  static async open(path: string, signal: AbortSignal): Promise<RawDiskReader> {
    const chain = await ChainReader.open([{ path, format: 'raw' }], signal);
    let file: FileHandle | undefined;
    try {
      file = await onFile(path, open(path, 'r'));
      const { size } = await onFile(path, file.stat());
      return new RawDiskReader(path, { size, file, chain });
    } catch (error) {
      await file?.close();
      await chain.close();
      throw error;
    }
  }

  override async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    assertInside({ offset, length: target.length }, this.size);
    for (let done = 0; done < target.length;) {
      signal.throwIfAborted();
      const read = this.file.read(target, done, target.length - done, offset + done);
      const { bytesRead } = await onFile(this.rawFile, read);
      if (bytesRead === 0) {
        throw new Fault(
          'formats.image-replaced',
          `${this.rawFile} became shorter while it was read. Nothing that was read is used.`,
          { path: this.rawFile },
        );
      }
      done += bytesRead;
    }
    signal.throwIfAborted();
  }

  override async *extents(
    signal: AbortSignal,
    within: Extent = { offset: 0, length: this.size },
  ): AsyncIterable<ContentExtent> {
    assertInside(within, this.size);
    yield* this.chain.extents(signal, within);
  }

  override async close(): Promise<void> {
    this.closing ??= Promise.all([this.file.close(), this.chain.close()]).then(() => undefined);
    await this.closing;
  }
}
