import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { systemCode } from '../../kernel/fault.ts';
import {
  open,
  rm,
  type FileHandle,
  closeSync,
  openSync,
  readSync,
} from '../../kernel/files/files.ts';
import { Malformed, demand } from '../bytes/binary.ts';
import { filterBytes, mayContain, type PlacedFilter } from './fuse-filter.ts';
import { bucketOf, RECORD_BYTES } from './records.ts';
import {
  decodeRunHeader,
  RUN_HEADER_BYTES,
  RUN_PACK_BYTES,
  RUN_SHAPE_BYTES,
  tableBytes,
  type RunHeader,
} from './run-format.ts';

/** What all threads share of a run. */
export interface RunMemory {
  readonly recordsPath: string;
  readonly header: RunHeader;
  /** First record of each bucket, shapes of the filters, filters. */
  readonly tables: SharedArrayBuffer;
  /** By pack of the run: its number in this process, or -1. */
  readonly packs: Int32Array;
}

export interface OpenedRun {
  readonly name: string;
  readonly header: RunHeader;
  /** The packs of the run, one after another: `RUN_PACK_BYTES` each. */
  readonly packTable: Buffer;
  readonly tables: SharedArrayBuffer;
}

/**
 * Reads a run's tables. Returns undefined if they are missing or damaged, after removing the files.
 */
export async function openRun(folder: string, name: string): Promise<OpenedRun | undefined> {
  try {
    await using file = await open(join(folder, `${name}.run`), 'r');
    return await readRun(file, name);
  } catch (error) {
    if (!(error instanceof Malformed) && systemCode(error) !== 'ENOENT') {
      throw error;
    }
    // A damaged run counts as missing: its packs are learned again.
    await removeRun(folder, name);
    return undefined;
  }
}

export async function removeRun(folder: string, name: string): Promise<void> {
  await rm(join(folder, `${name}.run`), { force: true });
  await rm(join(folder, `${name}.records`), { force: true });
}

async function readRun(file: FileHandle, name: string): Promise<OpenedRun> {
  const { size } = await file.stat();
  const start = await readFully(file, Buffer.alloc(RUN_HEADER_BYTES), 0);
  const header = decodeRunHeader(start);
  const tablesLength = tableBytes(header);
  const packsLength = header.packs * RUN_PACK_BYTES;
  demand(size === RUN_HEADER_BYTES + tablesLength + header.filterBytes, 'it has another size');
  const packBytes = await readFully(file, Buffer.alloc(packsLength), RUN_HEADER_BYTES);
  const tables = new SharedArrayBuffer(tablesLength - packsLength + header.filterBytes);
  const shared = new Uint8Array(tables);
  await readFully(file, shared, RUN_HEADER_BYTES + packsLength);
  const tableCrc = crc32(shared.subarray(0, tablesLength - packsLength), crc32(packBytes));
  const filterCrc = crc32(shared.subarray(tablesLength - packsLength));
  demand((tableCrc ^ filterCrc) >>> 0 === header.crc, 'it does not match its checksum');
  return { name, header, packTable: packBytes, tables };
}

async function readFully<T extends Uint8Array>(
  file: FileHandle,
  target: T,
  position: number,
): Promise<T> {
  const PIECE = 16 * 1024 * 1024;
  for (let done = 0; done < target.length;) {
    const length = Math.min(PIECE, target.length - done);
    const { bytesRead } = await file.read(target, done, length, position + done);
    demand(bytesRead > 0, 'it is cut short');
    done += bytesRead;
  }
  return target;
}

/**
 * Looks up keys in one run. Each thread has its own: it keeps the file open and a buffer for a
 * bucket.
 */
export class RunReader {
  readonly #memory: RunMemory;
  readonly #offsets: Uint32Array;
  readonly #filters: readonly PlacedFilter[];
  #file: number | undefined;
  #room = Buffer.allocUnsafeSlow(4096);
  /** How many buckets were read from the file. */
  reads = 0;

  constructor(memory: RunMemory) {
    const { header, tables } = memory;
    this.#memory = memory;
    const buckets = 2 ** header.bucketBits + 1;
    this.#offsets = new Uint32Array(tables, 0, buckets);
    const shapes = new Uint32Array(tables, buckets * 4, 2 ** header.segmentBits * 4);
    const bytes = new Uint8Array(tables, buckets * 4 + shapes.byteLength, header.filterBytes);
    this.#filters = Array.from({ length: 2 ** header.segmentBits }, (_, index) =>
      placedFilter(shapes.subarray((index * RUN_SHAPE_BYTES) / 4), bytes, header.fingerprintBits),
    );
  }

  /** Offsets of the buckets, for a merge. */
  get offsets(): Uint32Array {
    return this.#offsets;
  }

  /**
   * Calls `found` with each slot whose id may begin with this key, until it returns true.
   * @returns whether it did
   */
  find(high: number, low: number, found: (pack: number, slot: number) => boolean): boolean {
    const { header, packs } = this.#memory;
    const filter = this.#filters[bucketOf(high, header.segmentBits)];
    if (filter === undefined || !mayContain(filter, high, low)) {
      return false;
    }
    const bucket = bucketOf(high, header.bucketBits);
    const bytes = this.#read(this.#offsets[bucket] ?? 0, this.#offsets[bucket + 1] ?? 0);
    for (let at = firstFrom(bytes, high); at < bytes.length; at += RECORD_BYTES) {
      if (bytes.readUInt32LE(at) !== high) {
        break;
      }
      if (bytes.readUInt32LE(at + 4) === low) {
        const pack = packs[bytes.readUInt32LE(at + 8)] ?? -1;
        if (pack >= 0 && found(pack, bytes.readUInt16LE(at + 12))) {
          return true;
        }
      }
    }
    return false;
  }

  close(): void {
    if (this.#file !== undefined) {
      closeSync(this.#file);
      this.#file = undefined;
    }
  }

  /** Returns records [first, end) as they stand in the file; fewer if the file has changed. */
  #read(first: number, end: number): Buffer {
    this.reads += 1;
    const length = Math.max(0, Math.min(end, this.#memory.header.records) - first) * RECORD_BYTES;
    if (this.#room.length < length) {
      this.#room = Buffer.allocUnsafeSlow(length);
    }
    try {
      this.#file ??= openSync(this.#memory.recordsPath, 'r');
      const count = readSync(this.#file, this.#room, 0, length, first * RECORD_BYTES);
      return this.#room.subarray(0, count - (count % RECORD_BYTES));
    } catch (error) {
      if (systemCode(error) !== undefined) {
        // Another process merged the run into a larger one, or it cannot be read: its chunks count
        // as not found.
        return this.#room.subarray(0, 0);
      }
      throw error;
    }
  }
}

/** Returns where the records of a bucket begin whose first word is `high` or more. */
function firstFrom(records: Buffer, high: number): number {
  let [first, end] = [0, records.length / RECORD_BYTES];
  while (first < end) {
    const middle = (first + end) >>> 1;
    if (records.readUInt32LE(middle * RECORD_BYTES) < high) {
      first = middle + 1;
    } else {
      end = middle;
    }
  }
  return first * RECORD_BYTES;
}

function placedFilter(shape: Uint32Array, bytes: Uint8Array, bits: number): PlacedFilter {
  const [seed = 0, window = 0, starts = 0, offset = 0] = shape;
  const filter = { seed, window, starts, bytes, offset, bits };
  const isSane = window >= 4 && Number.isInteger(Math.log2(window)) && starts % window === 0;
  if (!isSane || offset + filterBytes(filter, bits) > bytes.length) {
    throw new Malformed('a filter does not lie where it should');
  }
  return filter;
}
