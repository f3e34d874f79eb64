import { DiskReader } from './disk-reader.ts';
import type { ContentExtent, Extent } from './extent.ts';

export interface ReadAheadOptions {
  /** Bytes that are read at once. */
  readonly pieceBytes: number;
  /** How far ahead of a stream is read, at most. */
  readonly windowBytes: number;
}

/** For disks in a vault: some packs' worth of frames, read side by side. */
export const READ_AHEAD: ReadAheadOptions = {
  pieceBytes: 1024 * 1024,
  windowBytes: 8 * 1024 * 1024,
};

/** A reader that goes through the disk, as far as can be told from where it reads. */
interface Stream {
  /** Where its next read is expected. */
  next: number;
  /** What was read ahead for it, or is being read. */
  until: number;
}

/** More readers than this at once forget the oldest. */
const STREAMS_MAX = 8;
/** A client may read twice, or leave out a hole, and still go through the disk. */
const SLACK_BYTES = 256 * 1024;

/**
 * Reads what comes next before it is asked for, where reads follow each other. The disk below must
 * keep what it read last: here nothing is kept.
 */
export class ReadAhead extends DiskReader {
  override readonly size: number;
  readonly #disk: DiskReader;
  readonly #options: ReadAheadOptions;
  readonly #ending = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #streams: Stream[] = [];

  constructor(disk: DiskReader, options: ReadAheadOptions) {
    super();
    this.size = disk.size;
    this.#disk = disk;
    this.#options = options;
  }

  override async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    const reading = this.#disk.read(offset, target, signal);
    this.#follow(offset, offset + target.length);
    await reading;
  }

  override extents(signal: AbortSignal, within?: Extent): AsyncIterable<ContentExtent> {
    return this.#disk.extents(signal, within);
  }

  /** Ends what is being read ahead, and closes the disk. */
  override async close(): Promise<void> {
    this.#ending.abort();
    await Promise.all(this.#running);
    await this.#disk.close();
  }

  #follow(offset: number, end: number): void {
    const known = this.#streams.find(
      ({ next }) => Math.abs(offset - next) <= SLACK_BYTES && end > next,
    );
    const stream = known ?? { next: end, until: end };
    stream.next = end;
    this.#streams = [stream, ...this.#streams.filter((each) => each !== stream)];
    this.#streams.length = Math.min(this.#streams.length, STREAMS_MAX);
    if (known !== undefined) {
      this.#ahead(stream);
    }
  }

  #ahead(stream: Stream): void {
    const { pieceBytes, windowBytes } = this.#options;
    stream.until = Math.max(stream.until, stream.next);
    const end = Math.min(stream.next + windowBytes, this.size);
    while (stream.until < end && !this.#ending.signal.aborted) {
      const length = Math.min(pieceBytes, this.size - stream.until);
      const running = this.#fetch(stream.until, length).finally(() =>
        this.#running.delete(running),
      );
      this.#running.add(running);
      stream.until += length;
    }
  }

  async #fetch(offset: number, length: number): Promise<void> {
    try {
      await this.#disk.read(offset, new Uint8Array(length), this.#ending.signal);
    } catch {
      // Whoever needs it reads it again, and is told.
    }
  }
}
