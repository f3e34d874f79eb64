/** Freezes that have not succeeded or failed yet, so that the end of the service ends them too. */
export class OpenFreezes {
  private readonly closing = new AbortController();
  private readonly open = new Set<Promise<unknown>>();

  /** @param freeze gets a signal that fires with `signal` and when this closes */
  async run<T>(signal: AbortSignal, freeze: (until: AbortSignal) => Promise<T>): Promise<T> {
    const until = AbortSignal.any([signal, this.closing.signal]);
    until.throwIfAborted();
    const freezing = freeze(until);
    this.open.add(freezing);
    return freezing.finally(() => this.open.delete(freezing));
  }

  /** One that ends well all the same is in use then. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.allSettled(this.open);
  }
}
