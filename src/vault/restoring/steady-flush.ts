import type { DiskWriter } from '../../disk/disk-writer.ts';

/** Bytes written between flushes. The system would gather far more and write it all at the end. */
const FLUSH_BYTES = 64 * 1024 * 1024;

/**
 * Makes a disk durable while it is being filled, so that disk and processor work at the same time.
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

  /** @throws what an earlier flush threw: the system reports once that it could not write */
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

  /** Resolves when everything is durable. */
  async end(): Promise<void> {
    await this.settle();
    this.#check();
    await this.#writer.flush(this.#signal);
  }

  /** Waits for a running flush, even if it fails. */
  async settle(): Promise<void> {
    await this.#running;
  }

  #check(): void {
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
  }
}
