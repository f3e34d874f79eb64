/**
 * Limits how long a process may take to stop. The timer keeps nothing open: a process with nothing
 * left to do ends before.
 */
export class StopDeadline {
  private readonly lastActs: (() => void)[] = [];

  /**
   * @param signal asks to stop
   * @param end ends the process at once, whatever it is doing
   */
  constructor(signal: AbortSignal, limitMs: number, end: () => void) {
    const overdue = (): void => {
      for (const act of this.lastActs) {
        act();
      }
      end();
    };
    const start = (): void => {
      setTimeout(overdue, limitMs).unref();
    };
    if (signal.aborted) {
      start();
    } else {
      signal.addEventListener('abort', start, { once: true });
    }
  }

  /** Adds something to do when the time is over, before the end. It must not wait for anything. */
  before(act: () => void): void {
    this.lastActs.push(act);
  }
}
