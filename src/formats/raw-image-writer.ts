import { assertInside } from '../disk/bounds.ts';
import { DiskWriter } from '../disk/disk-writer.ts';
import type { Extent } from '../disk/extent.ts';
import { runCommand } from '../kernel/command.ts';
import { isFault } from '../kernel/fault.ts';
import type { FileHandle } from '../kernel/files/files.ts';
import { openEmptyFile } from './empty-file.ts';
import { onFile } from './file-fault.ts';

/** Granularity of the record of written ranges, which tells where a new file still has holes. */
const REGION_BYTES = 1024 * 1024;
/** Below this size, writing zeroes is cheaper than the program that punches a hole. */
const PUNCH_BYTES_MIN = 256 * 1024;
const ZEROES = new Uint8Array(REGION_BYTES);

/** A new sparse raw image. */
export class RawImageWriter extends DiskWriter {
  override readonly size: number;
  override readonly rawFile: string;
  private readonly file: FileHandle;
  private readonly written: Uint8Array;
  private closing: Promise<void> | undefined;

  private constructor(path: string, file: FileHandle, size: number) {
    super();
    this.rawFile = path;
    this.file = file;
    this.size = size;
    this.written = new Uint8Array(Math.ceil(size / REGION_BYTES));
  }

  static async create(path: string, size: number, signal: AbortSignal): Promise<RawImageWriter> {
    signal.throwIfAborted();
    const file = await openEmptyFile(path);
    const writer = new RawImageWriter(path, file, size);
    try {
      await onFile(path, file.truncate(size));
      return writer;
    } catch (error) {
      await writer.close();
      throw error;
    }
  }

  override async write(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertInside({ offset, length: data.length }, this.size);
    if (data.length > 0) {
      const first = Math.floor(offset / REGION_BYTES);
      this.written.fill(1, first, Math.ceil((offset + data.length) / REGION_BYTES));
    }
    for (let done = 0; done < data.length;) {
      signal.throwIfAborted();
      const write = this.file.write(data, done, data.length - done, offset + done);
      const { bytesWritten } = await onFile(this.rawFile, write);
      done += bytesWritten;
    }
  }

  override async zero(extent: Extent, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertInside(extent, this.size);
    const end = extent.offset + extent.length;
    for (let offset = extent.offset; offset < end;) {
      const run = this.runFrom(offset, end);
      if (run.isWritten) {
        await this.clear({ offset, length: run.end - offset }, signal);
      }
      offset = run.end;
    }
  }

  override async flush(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await onFile(this.rawFile, this.file.sync());
  }

  override async close(): Promise<void> {
    this.closing ??= onFile(this.rawFile, this.file.close());
    await this.closing;
  }

  /** Returns the longest range from `offset` on of which all or nothing was written. */
  private runFrom(offset: number, end: number): { isWritten: boolean; end: number } {
    let region = Math.floor(offset / REGION_BYTES);
    const state = this.written[region];
    while (region * REGION_BYTES < end && this.written[region] === state) {
      region += 1;
    }
    return { isWritten: state === 1, end: Math.min(region * REGION_BYTES, end) };
  }

  private async clear(extent: Extent, signal: AbortSignal): Promise<void> {
    if (extent.length >= PUNCH_BYTES_MIN && (await this.punch(extent, signal))) {
      return;
    }
    const end = extent.offset + extent.length;
    for (let offset = extent.offset; offset < end; offset += ZEROES.length) {
      await this.write(offset, ZEROES.subarray(0, Math.min(ZEROES.length, end - offset)), signal);
    }
  }

  /**
   * Punches a hole with a program, because Node has no call for it. @returns whether that worked
   */
  private async punch({ offset, length }: Extent, signal: AbortSignal): Promise<boolean> {
    const range = ['--offset', String(offset), '--length', String(length)];
    try {
      await runCommand('fallocate', ['--punch-hole', ...range, '--', this.rawFile], signal);
      return true;
    } catch (error) {
      if (isFault(error, 'command.failed') || isFault(error, 'command.missing')) {
        // Not every file system has holes; zeroes are correct too, only larger.
        return false;
      }
      throw error;
    }
  }
}
