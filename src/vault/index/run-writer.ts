import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { PRIVATE_FILE_MODE } from '../../kernel/files/durable-file.ts';
import {
  closeSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from '../../kernel/files/files.ts';
import { makeFoldersSync } from '../../kernel/files/folders.ts';
import type { PackName } from '../format/object-names.ts';
import { FuseBuilder } from './fuse-filter.ts';
import { bucketOf, RECORD_BYTES, Records, RecordSorter } from './records.ts';
import {
  encodeRunHeader,
  encodeRunPack,
  encodeShape,
  RUN_HEADER_BYTES,
  RUN_PACK_BYTES,
  RUN_SHAPE_BYTES,
  runShape,
  tableBytes,
  type RunShape,
} from './run-format.ts';

/** Sources kept open at once; others are opened again for each segment. */
const FILES_MAX = 256;

/** Sorted records in a file, to be merged with others. */
export interface RecordSource {
  readonly path: string;
  readonly bucketBits: number;
  /** First record of each bucket; one more entry for the end. */
  readonly offsets: Uint32Array;
  /** By pack of the source: its number in the new run; -1 drops its records. */
  readonly packs: Int32Array;
}

export interface WrittenRun {
  readonly name: string;
  readonly records: number;
}

/**
 * Merges sorted records into a run. Holds one segment of about 260,000 records and the table of
 * buckets in memory. Synchronous: call it in a worker thread, or with few records.
 */
export function writeRun(
  folder: string,
  packs: readonly PackName[],
  sources: readonly RecordSource[],
): WrittenRun {
  const writer = new RunWriter(folder, packs, sources);
  try {
    return writer.run();
  } catch (error) {
    writer.discard();
    throw error;
  }
}

class RunWriter {
  readonly #folder: string;
  readonly #name = randomBytes(8).toString('hex');
  readonly #packs: readonly PackName[];
  readonly #sources: readonly { readonly source: RecordSource; readonly file?: number }[];
  readonly #shape: RunShape;
  readonly #sorter = new RecordSorter();
  readonly #builder = new FuseBuilder();
  readonly #offsets: Uint32Array;
  readonly #shapes: Buffer[] = [];
  #records = new Records(0);
  #room = Buffer.alloc(0);
  #written = 0;
  #filterBytes = 0;
  #filterCrc = 0;

  constructor(folder: string, packs: readonly PackName[], sources: readonly RecordSource[]) {
    makeFoldersSync(folder);
    this.#folder = folder;
    this.#packs = packs;
    const total = sources.reduce((sum, { offsets }) => sum + (offsets.at(-1) ?? 0), 0);
    this.#shape = runShape(total, packs.length);
    this.#offsets = new Uint32Array(2 ** this.#shape.bucketBits + 1);
    const isFew = sources.length <= FILES_MAX;
    this.#sources = sources.map((source) => ({
      source,
      ...(isFew ? { file: openSync(source.path, 'r') } : {}),
    }));
  }

  run(): WrittenRun {
    const temporary = this.#path('tmp');
    const records = openSync(this.#path('records'), 'wx', PRIVATE_FILE_MODE);
    const tables = openSync(temporary, 'wx', PRIVATE_FILE_MODE);
    try {
      for (let segment = 0; segment < 2 ** this.#shape.segmentBits; segment++) {
        this.#gather(segment);
        this.#writeSegment(segment, records, tables);
      }
      this.#offsets[this.#offsets.length - 1] = this.#written;
      this.#writeTables(tables);
      fsyncSync(records);
      fsyncSync(tables);
    } finally {
      closeSync(records);
      closeSync(tables);
      this.#closeSources();
    }
    renameSync(temporary, this.#path('run'));
    return { name: this.#name, records: this.#written };
  }

  discard(): void {
    for (const extension of ['tmp', 'records', 'run']) {
      rmSync(this.#path(extension), { force: true });
    }
  }

  #closeSources(): void {
    for (const { file } of this.#sources) {
      if (file !== undefined) {
        closeSync(file);
      }
    }
  }

  #path(extension: string): string {
    return join(this.#folder, `${this.#name}.${extension}`);
  }

  /** Reads the records of a segment from all sources. */
  #gather(segment: number): void {
    const { segmentBits } = this.#shape;
    const ranges = this.#sources.map(({ source, file }) => {
      const scale = 2 ** (source.bucketBits - segmentBits);
      const first = source.offsets[Math.floor(segment * scale)] ?? 0;
      const end = source.offsets[Math.ceil((segment + 1) * scale)] ?? 0;
      return { source, file, first, count: end - first };
    });
    const most = ranges.reduce((sum, { count }) => sum + count, 0);
    if (this.#records.capacity < most) {
      this.#records = new Records(Math.ceil(most * 1.1));
    }
    this.#records.count = 0;
    for (const { source, file, first, count } of ranges) {
      const bytes = this.#readFrom({ source, file }, first, count);
      for (let at = 0; at < bytes.length; at += RECORD_BYTES) {
        const high = bytes.readUInt32LE(at);
        const pack = source.packs[bytes.readUInt32LE(at + 8)] ?? -1;
        if (pack >= 0 && bucketOf(high, segmentBits) === segment) {
          this.#records.add(high, bytes.readUInt32LE(at + 4), pack, bytes.readUInt16LE(at + 12));
        }
      }
    }
  }

  #readFrom(
    { source, file }: { source: RecordSource; file: number | undefined },
    first: number,
    count: number,
  ): Buffer {
    if (file !== undefined) {
      return this.#read(file, first, count);
    }
    const opened = openSync(source.path, 'r');
    try {
      return this.#read(opened, first, count);
    } finally {
      closeSync(opened);
    }
  }

  #read(file: number, first: number, count: number): Buffer {
    const bytes = this.#reserve(count * RECORD_BYTES);
    let done = 0;
    while (done < bytes.length) {
      const read = readSync(file, bytes, done, bytes.length - done, first * RECORD_BYTES + done);
      if (read === 0) {
        break; // A file that ends early has fewer records: their chunks count as new.
      }
      done += read;
    }
    return bytes.subarray(0, done - (done % RECORD_BYTES));
  }

  #reserve(length: number): Buffer {
    if (this.#room.length < length) {
      this.#room = Buffer.alloc(Math.ceil(length * 1.1));
    }
    return this.#room.subarray(0, length);
  }

  #writeSegment(segment: number, recordsFile: number, tablesFile: number): void {
    const { bucketBits, segmentBits, fingerprintBits } = this.#shape;
    const order = this.#sorter.sort(this.#records);
    const { high, low } = this.#records;
    const bucketsEach = 2 ** (bucketBits - segmentBits);
    let bucket = segment * bucketsEach;
    const keys = { high: new Uint32Array(order.length), low: new Uint32Array(order.length) };
    let unique = 0;
    for (const [index, record] of order.entries()) {
      const [a, b] = [high[record] ?? 0, low[record] ?? 0];
      for (const own = bucketOf(a, bucketBits); bucket <= own; bucket++) {
        this.#offsets[bucket] = this.#written + index;
      }
      if (isNew(keys, unique, a, b)) {
        keys.high[unique] = a;
        keys.low[unique++] = b;
      }
    }
    for (const end = (segment + 1) * bucketsEach; bucket < end; bucket++) {
      this.#offsets[bucket] = this.#written + order.length;
    }
    const { shape, bytes } = this.#builder.build(keys.high, keys.low, unique, fingerprintBits);
    this.#shapes.push(encodeShape(shape, this.#filterBytes));
    writeSync(tablesFile, bytes, 0, bytes.length, this.#filterStart + this.#filterBytes);
    this.#filterCrc = crc32(bytes, this.#filterCrc);
    this.#filterBytes += bytes.length;
    const encoded = this.#records.encode(order, this.#reserve(order.length * RECORD_BYTES));
    writeSync(recordsFile, encoded, 0, encoded.length, this.#written * RECORD_BYTES);
    this.#written += order.length;
  }

  get #filterStart(): number {
    return RUN_HEADER_BYTES + tableBytes(this.#shape);
  }

  #writeTables(file: number): void {
    const packs = Buffer.alloc(this.#packs.length * RUN_PACK_BYTES);
    for (const [index, pack] of this.#packs.entries()) {
      encodeRunPack(pack).copy(packs, index * RUN_PACK_BYTES);
    }
    const { buffer, byteOffset, byteLength } = this.#offsets;
    const offsets = Buffer.from(buffer, byteOffset, byteLength);
    const tables = Buffer.concat([packs, offsets, ...this.#shapes]);
    if (tables.length !== tableBytes(this.#shape) || this.#shapes.length * RUN_SHAPE_BYTES === 0) {
      throw new RangeError('the tables of a run do not add up');
    }
    writeSync(file, tables, 0, tables.length, RUN_HEADER_BYTES);
    const header = encodeRunHeader({
      ...this.#shape,
      records: this.#written,
      filterBytes: this.#filterBytes,
      crc: (crc32(tables) ^ this.#filterCrc) >>> 0,
    });
    writeSync(file, header, 0, header.length, 0);
  }
}

/**
 * Equal keys follow each other, except that keys with the same first word may stand between them.
 */
function isNew(
  keys: { high: Uint32Array; low: Uint32Array },
  count: number,
  high: number,
  low: number,
): boolean {
  for (let index = count - 1; index >= 0 && keys.high[index] === high; index--) {
    if (keys.low[index] === low) {
      return false;
    }
  }
  return true;
}
