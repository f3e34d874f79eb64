import { collectGarbage } from './garbage.ts';
import { Idleness } from './idleness.ts';
import type { Log } from '../log.ts';

/** Work that follows sooner finds threads and caches as the last work left them. */
const REST_MS = 5000;
/** Less is not worth the 0.1 s that collecting takes. */
const GROWTH_BYTES_MIN = 8 * 1024 * 1024;

/**
 * Returns memory that the process needs only while it works. The engine checks memory only when it
 * allocates, so an idle process would keep what its last work left behind.
 */
export class IdleMemory {
  readonly #log: Log;
  readonly #idleness: Idleness;
  readonly #rests: (() => Promise<void>)[] = [];
  #restedBytes = 0;

  constructor(log: Log, restMs = REST_MS) {
    this.#log = log;
    this.#idleness = new Idleness(restMs, () => void this.#rest());
  }

  /**
   * Sets what to call when nobody has worked for a while; when it returns, what it gave up is
   * garbage.
   */
  onRest(rest: () => Promise<void>): void {
    this.#rests.push(rest);
  }

  /** Marks work until the returned object is disposed of. */
  enter(): Disposable {
    return this.#idleness.enter();
  }

  /** Notes small work, which leaves garbage too. */
  touch(): void {
    this.#idleness.touch();
  }

  async #rest(): Promise<void> {
    for (const rest of this.#rests) {
      await rest().catch((error: unknown) => {
        this.#log.warn('memory.not-returned', { error });
      });
    }
    const before = process.memoryUsage.rss();
    if (!this.#idleness.isBusy && before > this.#restedBytes + GROWTH_BYTES_MIN) {
      collectGarbage('room');
      this.#restedBytes = process.memoryUsage.rss();
    }
    this.#log.debug('memory.returned', { before, after: process.memoryUsage.rss() });
  }
}
