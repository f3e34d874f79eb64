/**
 * Counts who is busy, and reports once when nobody has been for a while; again after more was done.
 */
export class Idleness {
  #afterMs: number;
  readonly #onIdle: () => void;
  #busy = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(afterMs: number, onIdle: () => void) {
    this.#afterMs = afterMs;
    this.#onIdle = onIdle;
  }

  get isBusy(): boolean {
    return this.#busy > 0;
  }

  /**
   * Marks somebody as busy until the returned object is disposed of; disposing twice has no effect.
   * Keeps no process alive.
   */
  enter(): Disposable {
    this.stop();
    this.#busy += 1;
    let isIn = true;
    return {
      [Symbol.dispose]: () => {
        if (isIn) {
          isIn = false;
          this.#busy -= 1;
          this.touch();
        }
      },
    };
  }

  /**
   * Notes that something was done. It postpones nothing: frequent small work does not count as
   * busy.
   */
  touch(): void {
    if (this.#busy === 0 && this.#timer === undefined) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#onIdle();
      }, this.#afterMs).unref();
    }
  }

  /** From now on reports as soon as nobody is busy. */
  hurry(): void {
    this.stop();
    this.#afterMs = 0;
    this.touch();
  }

  /** Reports nothing until somebody has been busy again. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
