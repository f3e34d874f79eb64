/** A signal that callers can wait for again and again. */
export class Bell {
  #waiting: (() => void)[] = [];

  /** Wakes everyone who waits now. */
  ring(): void {
    for (const wake of this.#waiting.splice(0)) {
      wake();
    }
  }

  /** Resolves at the next ring; what it is about must be looked at again. */
  async wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}
