/**
 * Lets at most `count` callers through at a time; the others wait in the order in which they came.
 */
export class Semaphore {
  private free: number;
  private readonly waiting = new Set<() => void>();

  constructor(count: number) {
    this.free = count;
  }

  /** Does the work once there is room. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.take(signal);
    try {
      return await work();
    } finally {
      this.release();
    }
  }

  /** Resolves once there is room. Each `take` that resolved needs one `release`. */
  async take(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.free > 0) {
      this.free -= 1;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const go = (): void => {
      resolve(undefined);
    };
    const onAbort = (): void => {
      // Room that was handed over at the same moment stays taken; its owner releases it.
      if (this.waiting.delete(go)) {
        reject(signal?.reason as Error);
      }
    };
    this.waiting.add(go);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  release(): void {
    const [next] = this.waiting;
    if (next === undefined) {
      this.free += 1;
      return;
    }
    this.waiting.delete(next);
    next();
  }
}
