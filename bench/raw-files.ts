import { open, truncate, type FileHandle } from 'node:fs/promises';
import { systemPath } from '../scripts/setup/debian.mjs';
import { mustRun } from '../scripts/setup/run.mjs';
import { DiskReader } from '../src/disk/disk-reader.ts';
import { DiskWriter } from '../src/disk/disk-writer.ts';
import type { ContentExtent, Extent } from '../src/disk/extent.ts';

/** A raw image as a disk. */
export class RawReader extends DiskReader {
  override readonly size: number;
  override readonly rawFile: string;
  readonly #handle: FileHandle;
  readonly #extents: readonly ContentExtent[];

  private constructor(path: string, handle: FileHandle, extents: readonly ContentExtent[]) {
    super();
    this.rawFile = path;
    this.#handle = handle;
    this.#extents = extents;
    const last = extents.at(-1);
    this.size = last === undefined ? 0 : last.offset + last.length;
  }

  static async open(path: string): Promise<RawReader> {
    const { text } = await mustRun('qemu-img', ['map', '--output=json', '-f', 'raw', path], {
      output: 'keep',
      env: { PATH: systemPath(), LANG: 'C' },
    });
    const map = JSON.parse(text) as { start: number; length: number; data: boolean }[];
    const extents = map.map(({ start, length, data }): ContentExtent => ({
      offset: start,
      length,
      content: data ? 'data' : 'zero',
    }));
    return new RawReader(path, await open(path), extents);
  }

  override async read(offset: number, target: Uint8Array): Promise<void> {
    for (let done = 0; done < target.length;) {
      const { bytesRead } = await this.#handle.read(
        target,
        done,
        target.length - done,
        offset + done,
      );
      if (bytesRead === 0) {
        throw new Error(`${this.rawFile} ends too early`);
      }
      done += bytesRead;
    }
  }

  override async *extents(
    _signal: AbortSignal,
    within: Extent = { offset: 0, length: this.size },
  ): AsyncIterable<ContentExtent> {
    const end = within.offset + within.length;
    for (const extent of this.#extents) {
      const from = Math.max(extent.offset, within.offset);
      const to = Math.min(extent.offset + extent.length, end);
      if (from < to) {
        yield { offset: from, length: to - from, content: extent.content };
      }
    }
  }

  override async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** A new raw image; what is not written stays a hole. */
export class RawWriter extends DiskWriter {
  override readonly size: number;
  override readonly rawFile: string;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle, size: number) {
    super();
    this.rawFile = path;
    this.#handle = handle;
    this.size = size;
  }

  static async create(path: string, size: number): Promise<RawWriter> {
    const handle = await open(path, 'wx', 0o600);
    await truncate(path, size);
    return new RawWriter(path, handle, size);
  }

  override async write(offset: number, data: Uint8Array): Promise<void> {
    await this.#handle.write(data, 0, data.length, offset);
  }

  override async zero(): Promise<void> {
    // A new file is all holes.
  }

  override async flush(): Promise<void> {
    await this.#handle.sync();
  }

  override async close(): Promise<void> {
    await this.#handle.close();
  }
}
