import type { PackBuffer, SpareBuffers } from '../../tasks/pack-buffer.ts';

/** One is filled while the other is sent. */
const BUFFERS = 2;

/** The memory of an assembly: at most two packs. */
export class BufferPair {
  readonly #spare: SpareBuffers;
  readonly #capacity: number;
  readonly #unused: PackBuffer[] = [];
  #made = 0;

  /** @param capacity of each buffer, in bytes */
  constructor(spare: SpareBuffers, capacity: number) {
    this.#spare = spare;
    this.#capacity = capacity;
  }

  /** Returns undefined while both are in use. */
  take(): PackBuffer | undefined {
    const unused = this.#unused.pop();
    if (unused !== undefined || this.#made >= BUFFERS) {
      return unused;
    }
    this.#made += 1;
    return this.#spare.take(this.#capacity);
  }

  give(buffer: PackBuffer): void {
    this.#unused.push(buffer);
  }

  /** Leaves the buffers to the next backup; there are none any more. */
  release(): void {
    this.#spare.give(this.#unused.splice(0));
  }
}
