import { createHash } from 'node:crypto';
import type { ObjectEntry } from '../store/object-store.ts';

const MARK_BYTES = 8;
const MARKS_FIRST = 1024;

/**
 * Remembers the packs of a listing, in its order: 8 bytes of a hash each, because there may be
 * hundreds of thousands and the roll is kept while points are copied.
 */
export class PackRoll {
  #marks = Buffer.alloc(MARKS_FIRST * MARK_BYTES);
  #size = 0;
  readonly #withdrawn = new Set<number>();

  /** @returns its place in the roll */
  add(entry: ObjectEntry): number {
    const offset = this.#size * MARK_BYTES;
    if (offset === this.#marks.length) {
      this.#marks = Buffer.concat([this.#marks, Buffer.alloc(this.#marks.length)]);
    }
    this.#marks.set(markOf(entry), offset);
    this.#size += 1;
    return this.#size - 1;
  }

  /** Takes out an entry that need not be found again. */
  withdraw(place: number): void {
    this.#withdrawn.add(place);
  }

  /**
   * Whether another listing in the same order shows all entries with the same sizes. It may show
   * more.
   */
  async isIn(entries: AsyncIterable<ObjectEntry>): Promise<boolean> {
    let next = this.#expectedFrom(0);
    for await (const entry of entries) {
      if (next < this.#size && markOf(entry).equals(this.#markAt(next))) {
        next = this.#expectedFrom(next + 1);
      }
    }
    return next === this.#size;
  }

  #expectedFrom(place: number): number {
    let next = place;
    while (this.#withdrawn.has(next)) {
      next += 1;
    }
    return next;
  }

  #markAt(place: number): Buffer {
    return this.#marks.subarray(place * MARK_BYTES, (place + 1) * MARK_BYTES);
  }
}

function markOf({ key, size }: ObjectEntry): Buffer {
  return createHash('sha256')
    .update(`${key} ${String(size)}`)
    .digest()
    .subarray(0, MARK_BYTES);
}
