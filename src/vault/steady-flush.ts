import type { DiskWriter } from '../disk/disk-writer.ts';

/**
 * Written since the last flush began. The system would let far more gather and write it all at the
 * end.
 */
const FLUSH_BYTES = 64 * 1024 * 1024;

/**
 * Makes a disk durable while it is being filled: the disk works at the same time as the processor.
 */
export class SteadyFlush {
  readonly #writer: DiskWriter;
  readonly #signal: AbortSignal;
  #sinceBytes = 0;
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(writer: DiskWriter, signal: AbortSignal) {
    this.#writer = writer;
    this.#signal = signal;
  }

  /** @throws what an earlier flush threw: a system tells once that it could not write */
  written(bytes: number): void {
    this.#check();
    this.#sinceBytes += bytes;
    if (this.#sinceBytes >= FLUSH_BYTES && this.#running === undefined) {
      this.#sinceBytes = 0;
      this.#running = this.#writer.flush(this.#signal).then(
        () => {
          this.#running = undefined;
        },
        (error: unknown) => {
          this.#failure = { error };
        },
      );
    }
  }

  /** Returns when everything is durable. */
  async end(): Promise<void> {
    await this.settle();
    this.#check();
    await this.#writer.flush(this.#signal);
  }

  /** Waits for what is under way, however it ends. */
  async settle(): Promise<void> {
    await this.#running;
  }

  #check(): void {
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
  }
}
