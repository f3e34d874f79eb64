import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { PRIVATE_FILE_MODE } from '../../kernel/files/durable-file.ts';
import { closeSync, openSync, rmSync, writeSync } from '../../kernel/files/files.ts';
import { makeFoldersSync } from '../../kernel/files/folders.ts';
import { bucketOf, RECORD_BYTES, Records, RecordSorter } from './records.ts';

const SPILL_RECORDS = 2 ** 21;
/** One bucket per segment of the largest run, so that a merge reads only what it needs. */
const SPILL_BUCKET_BITS = 12;
const ENCODED_RECORDS = 2 ** 16;

/** Sorted records in a file that exists only to be merged. */
export interface Spill {
  readonly path: string;
  readonly bucketBits: number;
  readonly offsets: Uint32Array;
}

/** Collects any number of records in little memory: writes sorted parts of them to files. */
export class Spiller {
  readonly #folder: string;
  readonly #records: Records;
  readonly #sorter = new RecordSorter();
  readonly spills: Spill[] = [];

  constructor(folder: string, capacity = SPILL_RECORDS) {
    makeFoldersSync(folder);
    this.#folder = folder;
    this.#records = new Records(capacity);
  }

  /** @param id at least the first 8 bytes of it */
  add(id: Uint8Array, pack: number, slot: number): void {
    if (this.#records.count === this.#records.capacity) {
      this.flush();
    }
    this.#records.add(word(id, 0), word(id, 4), pack, slot);
  }

  /** Writes what is in memory. */
  flush(): void {
    const records = this.#records;
    if (records.count === 0) {
      return;
    }
    const order = this.#sorter.sort(records);
    const offsets = new Uint32Array(2 ** SPILL_BUCKET_BITS + 1);
    let bucket = 0;
    for (const [index, record] of order.entries()) {
      const own = bucketOf(records.high[record] ?? 0, SPILL_BUCKET_BITS);
      for (; bucket <= own; bucket++) {
        offsets[bucket] = index;
      }
    }
    offsets.fill(records.count, bucket);
    const path = join(this.#folder, `${randomBytes(8).toString('hex')}.spill`);
    writeRecords(path, records, order);
    this.spills.push({ path, bucketBits: SPILL_BUCKET_BITS, offsets });
    records.count = 0;
  }

  remove(): void {
    for (const { path } of this.spills) {
      rmSync(path, { force: true });
    }
  }
}

/** Reads the big-endian number at `at`. */
export function word(id: Uint8Array, at: number): number {
  return (
    (((id[at] ?? 0) << 24) |
      ((id[at + 1] ?? 0) << 16) |
      ((id[at + 2] ?? 0) << 8) |
      (id[at + 3] ?? 0)) >>>
    0
  );
}

function writeRecords(path: string, records: Records, order: Uint32Array): void {
  const file = openSync(path, 'wx', PRIVATE_FILE_MODE);
  const room = Buffer.allocUnsafeSlow(Math.min(order.length, ENCODED_RECORDS) * RECORD_BYTES);
  try {
    for (let from = 0; from < order.length; from += ENCODED_RECORDS) {
      const part = order.subarray(from, from + ENCODED_RECORDS);
      const bytes = records.encode(part, room);
      writeSync(file, bytes, 0, part.length * RECORD_BYTES);
    }
  } finally {
    closeSync(file);
  }
}
