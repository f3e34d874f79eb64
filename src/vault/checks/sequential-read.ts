import type { ObjectKey, ObjectStore } from '../store/object-store.ts';

/** Size of one ranged read: few requests, little memory. */
const WINDOW_BYTES = 8 * 1024 * 1024;

/** Reads an object from front to back in large pieces. */
export class SequentialRead {
  readonly #store: ObjectStore;
  readonly #key: ObjectKey;
  readonly #signal: AbortSignal;
  #window: Buffer = Buffer.alloc(0);
  #windowOffset = 0;
  /** Size of the object; known after the first read. */
  objectSize = 0;
  requests = 0;
  bytes = 0;

  constructor(store: ObjectStore, key: ObjectKey, signal: AbortSignal) {
    this.#store = store;
    this.#key = key;
    this.#signal = signal;
  }

  /**
   * Returns the bytes from `offset` on; fewer at the end of the object, undefined if there is no
   * object.
   */
  async at(offset: number, length: number): Promise<Buffer | undefined> {
    const inside = offset - this.#windowOffset;
    const end = this.#windowOffset + this.#window.length;
    if (inside < 0 || offset + length > end) {
      if (this.requests > 0 && inside >= 0 && end === this.objectSize) {
        return this.#window.subarray(inside, inside + length);
      }
      const range = { offset, length: Math.max(length, WINDOW_BYTES) };
      this.requests += 1;
      const part = await this.#store.getRange(this.#key, range, this.#signal);
      if (part === undefined) {
        return undefined;
      }
      this.bytes += part.data.length;
      this.objectSize = part.objectSize;
      this.#window = Buffer.from(part.data.buffer, part.data.byteOffset, part.data.length);
      this.#windowOffset = offset;
    }
    const at = offset - this.#windowOffset;
    return this.#window.subarray(at, at + length);
  }
}
