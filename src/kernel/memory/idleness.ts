/**
 * Counts who is busy, and says when nobody has been for a while: once, and again after more was
 * done.
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

  /** Busy until the answer is disposed of; a second time has no effect. Keeps no process alive. */
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
   * Something was done. It puts off nothing: what is done all the time does not keep anybody busy.
   */
  touch(): void {
    if (this.#busy === 0 && this.#timer === undefined) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#onIdle();
      }, this.#afterMs).unref();
    }
  }

  /** From now on it is said as soon as nobody is busy. */
  hurry(): void {
    this.stop();
    this.#afterMs = 0;
    this.touch();
  }

  /** Says nothing until somebody was busy again. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
