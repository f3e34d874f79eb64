import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import type { SpareInputs } from '../tasks/pack-buffer.ts';
import type { Piece, StoreTask } from '../tasks/store-task.ts';
import { BATCH_BYTES } from './assembly/batch-limits.ts';
import type { DiskSource } from './new-point.ts';

const READS_AT_ONCE = 16;

/** The bytes of a batch, or the image from which the worker reads them. */
export interface BatchInput {
  readonly input: StoreTask['input'];
  /** Memory of the bytes, for `release`. */
  readonly memory?: SharedArrayBuffer;
}

/** Reads batches of a disk, unless workers can read it themselves. */
export class BatchReader {
  readonly #source: DiskSource;
  readonly #spare: SpareInputs;

  constructor(source: DiskSource, spare: SpareInputs) {
    this.#source = source;
    this.#spare = spare;
  }

  /** Reads pieces one after another. What they have beyond the end of the disk is zero. */
  async read(pieces: readonly Piece[], signal: AbortSignal): Promise<BatchInput> {
    const { reader, sizeBytes } = this.#source;
    if (reader.rawFile !== undefined) {
      return { input: { path: reader.rawFile } };
    }
    const memory = this.#spare.take(BATCH_BYTES);
    const bytes = new Uint8Array(memory);
    let at = 0;
    const reads = pieces.map(({ start, sectors }) => {
      const target = bytes.subarray(at, at + sectors * SECTOR_BYTES);
      at += sectors * SECTOR_BYTES;
      const offset = start * SECTOR_BYTES;
      const wanted = Math.min(target.length, sizeBytes - offset);
      target.fill(0, wanted);
      return { offset, target: target.subarray(0, wanted) };
    });
    await mapAtOnce(reads, READS_AT_ONCE, async ({ offset, target }) =>
      reader.read(offset, target, signal),
    );
    return { input: { bytes: bytes.subarray(0, at) }, memory };
  }

  /** Call it when nobody reads the bytes any more: the next batch uses their memory. */
  release({ memory }: BatchInput): void {
    if (memory !== undefined) {
      this.#spare.give([memory]);
    }
  }
}
