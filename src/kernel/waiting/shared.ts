import { abortable } from './abortable.ts';

interface Work<V> {
  readonly result: Promise<V>;
  readonly stop: AbortController;
  waiting: number;
}

/**
 * Work that several callers may want at once and that is done once: a caller that asks while it
 * runs waits for the same result. A caller that leaves ends nothing for the others; the work is
 * stopped when nobody waits for it any more. Results are not kept.
 */
export class Shared<K, V> {
  readonly #underWay = new Map<K, Work<V>>();

  /** @param run begins the work; its signal fires when every caller has left */
  async do(key: K, signal: AbortSignal, run: (signal: AbortSignal) => Promise<V>): Promise<V> {
    signal.throwIfAborted();
    const work = this.#underWay.get(key) ?? this.#begin(key, run);
    work.waiting += 1;
    try {
      return await abortable(work.result, signal);
    } finally {
      work.waiting -= 1;
      if (work.waiting === 0) {
        this.#forget(key, work);
        work.stop.abort();
      }
    }
  }

  #begin(key: K, run: (signal: AbortSignal) => Promise<V>): Work<V> {
    const stop = new AbortController();
    const result = (async () => run(stop.signal))();
    const work: Work<V> = { result, stop, waiting: 0 };
    this.#underWay.set(key, work);
    const forget = () => {
      this.#forget(key, work);
    };
    // Needed if every caller has left: then nobody else handles the result.
    result.then(forget, forget);
    return work;
  }

  /** The next caller begins the work again. */
  #forget(key: K, work: Work<V>): void {
    if (this.#underWay.get(key) === work) {
      this.#underWay.delete(key);
    }
  }
}
