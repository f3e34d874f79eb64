/**
 * Runs up to `limit` operations at once. After the first failure no more start; `end` waits for all
 * and throws it.
 */
export class Parallel {
  readonly #limit: number;
  readonly #running = new Set<Promise<void>>();
  #failure: { error: unknown } | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Starts an operation once there is room. */
  async add(operation: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#limit && this.#failure === undefined) {
      await Promise.race(this.#running);
    }
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
    const running = operation()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when nothing runs any more. @throws the first failure */
  async end(): Promise<void> {
    await Promise.all(this.#running);
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
  }

  /** Resolves when nothing runs any more, even after failures. */
  async settle(): Promise<void> {
    await Promise.all(this.#running);
  }
}
