import assert from 'node:assert/strict';
import { assertInside } from '../../../src/disk/bounds.ts';
import { DiskReader } from '../../../src/disk/disk-reader.ts';
import { DiskWriter } from '../../../src/disk/disk-writer.ts';
import type { Content, ContentExtent, Extent } from '../../../src/disk/extent.ts';

/** Zeroes are tracked in pages of this many bytes. */
const PAGE_BYTES = 4096;

type Pages = ReadonlyMap<number, Uint8Array>;

/**
 * A sparse disk in memory: only pages with data take space. Tests compare real disks with it, and
 * use it as source and target if they need no real disk.
 */
export class MemoryDisk {
  readonly size: number;
  /** Pages are replaced, never changed, so a reader keeps the content it was opened on. */
  private pages = new Map<number, Uint8Array>();

  constructor(size: number) {
    assertInside({ offset: 0, length: size }, size);
    this.size = size;
  }

  /** Returns a disk with the content of `bytes`; pages of zeroes are holes. */
  static of(bytes: Uint8Array): MemoryDisk {
    const disk = new MemoryDisk(bytes.length);
    for (let offset = 0; offset < bytes.length; offset += PAGE_BYTES) {
      const page = bytes.subarray(offset, offset + PAGE_BYTES);
      if (page.some((byte) => byte !== 0)) {
        disk.write(offset, page);
      }
    }
    return disk;
  }

  write(offset: number, data: Uint8Array): void {
    assertInside({ offset, length: data.length }, this.size);
    for (const part of pageParts({ offset, length: data.length })) {
      const page = this.pages.get(part.page)?.slice() ?? new Uint8Array(PAGE_BYTES);
      page.set(data.subarray(part.done, part.done + part.length), part.start);
      this.pages.set(part.page, page);
    }
  }

  zero(extent: Extent): void {
    assertInside(extent, this.size);
    for (const part of pageParts(extent)) {
      const old = this.pages.get(part.page);
      if (old === undefined) {
        continue;
      }
      const page = old.slice().fill(0, part.start, part.start + part.length);
      if (page.some((byte) => byte !== 0)) {
        this.pages.set(part.page, page);
      } else {
        this.pages.delete(part.page);
      }
    }
  }

  read(offset: number, target: Uint8Array): void {
    readPages(this.pages, this.size, offset, target);
  }

  /** Returns the whole content. Only for disks that fit in memory. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.size);
    this.read(0, bytes);
    return bytes;
  }

  /** Returns a reader of the present content; it does not see later writes. */
  reader(): DiskReader {
    return new MemoryDiskReader(new Map(this.pages), this.size);
  }

  writer(): DiskWriter {
    return new MemoryDiskWriter(this);
  }
}

class MemoryDiskReader extends DiskReader {
  override readonly size: number;
  private readonly pages: Pages;
  private closed = false;

  constructor(pages: Pages, size: number) {
    super();
    this.pages = pages;
    this.size = size;
  }

  override async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assert(!this.closed, 'read from a closed disk');
    readPages(this.pages, this.size, offset, target);
  }

  override async *extents(
    signal: AbortSignal,
    within: Extent = { offset: 0, length: this.size },
  ): AsyncIterable<ContentExtent> {
    assertInside(within, this.size);
    const end = within.offset + within.length;
    let position = within.offset;
    for (const run of dataRuns(this.pages, within)) {
      signal.throwIfAborted();
      if (run.offset > position) {
        yield extentOf(position, run.offset, 'zero');
      }
      position = run.offset + run.length;
      yield extentOf(run.offset, position, 'data');
    }
    if (position < end) {
      yield extentOf(position, end, 'zero');
    }
  }

  override async close(): Promise<void> {
    this.closed = true;
  }
}

class MemoryDiskWriter extends DiskWriter {
  override readonly size: number;
  private readonly disk: MemoryDisk;

  constructor(disk: MemoryDisk) {
    super();
    this.disk = disk;
    this.size = disk.size;
  }

  override async write(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.disk.write(offset, data);
  }

  override async zero(extent: Extent, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.disk.zero(extent);
  }

  override async flush(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  override async close(): Promise<void> {
    // Memory needs no closing.
  }
}

interface PagePart {
  readonly page: number;
  /** Where the part starts inside its page. */
  readonly start: number;
  readonly length: number;
  /** Bytes of the range before the part. */
  readonly done: number;
}

function* pageParts({ offset, length }: Extent): Generator<PagePart> {
  for (let done = 0; done < length;) {
    const start = (offset + done) % PAGE_BYTES;
    const take = Math.min(PAGE_BYTES - start, length - done);
    yield { page: Math.floor((offset + done) / PAGE_BYTES), start, length: take, done };
    done += take;
  }
}

function readPages(pages: Pages, size: number, offset: number, target: Uint8Array): void {
  assertInside({ offset, length: target.length }, size);
  for (const part of pageParts({ offset, length: target.length })) {
    const page = pages.get(part.page);
    if (page === undefined) {
      target.fill(0, part.done, part.done + part.length);
    } else {
      target.set(page.subarray(part.start, part.start + part.length), part.done);
    }
  }
}

/** Yields the runs of pages with data, cut to `within`. */
function* dataRuns(pages: Pages, within: Extent): Generator<Extent> {
  const end = within.offset + within.length;
  const starts = [...pages.keys()]
    .map((page) => page * PAGE_BYTES)
    .filter((start) => start < end && start + PAGE_BYTES > within.offset)
    .sort((a, b) => a - b);
  let run: { offset: number; length: number } | undefined;
  for (const start of starts) {
    const from = Math.max(start, within.offset);
    const to = Math.min(start + PAGE_BYTES, end);
    if (run !== undefined && run.offset + run.length === from) {
      run.length = to - run.offset;
      continue;
    }
    if (run !== undefined) {
      yield run;
    }
    run = { offset: from, length: to - from };
  }
  if (run !== undefined) {
    yield run;
  }
}

function extentOf(offset: number, end: number, content: Content): ContentExtent {
  return { offset, length: end - offset, content };
}
