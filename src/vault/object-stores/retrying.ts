import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SystemClock, type Clock } from '../../kernel/clock.ts';
import { Fault, isFault } from '../../kernel/fault.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import type {
  ObjectEntry,
  ObjectKey,
  ObjectPart,
  ObjectRange,
  ObjectStore,
  PutOptions,
} from '../store/object-store.ts';
import type { StoreWatch } from '../store/store-health.ts';
import { StoreLayer } from '../store/store-layer.ts';

const FIRST_DELAY_MS = 200;
const DELAY_MS_MAX = 20_000;
/** A server restarts within this time, and people notice a longer outage. */
const PATIENCE_MS = 10 * 60_000;

export interface RetryOptions {
  /** How long an operation is repeated after its first failure. */
  readonly patienceMs?: number;
  readonly firstDelayMs?: number;
  readonly clock?: Clock;
  /** Waits; rejects as soon as the signal fires. */
  readonly wait?: (delayMs: number, signal: AbortSignal) => Promise<void>;
  /** Returns a number in [0, 1), so that clients that failed together do not come back together. */
  readonly chance?: () => number;
  /** Told how every attempt ends. */
  readonly watch?: StoreWatch;
}

const NOBODY: StoreWatch = {
  asked: () => undefined,
  answered: () => undefined,
  failed: () => undefined,
  left: () => undefined,
};

/**
 * Repeats an operation while the store is unreachable or something else answers in its place: the
 * server restarts or is too busy, the network is down, a gateway shows its page. Any other failure
 * is thrown at once. An operation that timed out may have taken place; repeating it is safe because
 * two puts of one key carry the same bytes.
 */
export class RetryingObjectStore extends StoreLayer {
  readonly #options: Required<RetryOptions>;

  constructor(store: ObjectStore, options: RetryOptions = {}) {
    super(store);
    this.#options = {
      patienceMs: PATIENCE_MS,
      firstDelayMs: FIRST_DELAY_MS,
      clock: new SystemClock(),
      wait: (delayMs, signal) => sleep(delayMs, undefined, { signal }),
      chance: () => randomInt(2 ** 32) / 2 ** 32,
      watch: NOBODY,
      ...options,
    };
  }

  override makePlace(signal: AbortSignal): Promise<void> {
    return this.#repeat(signal, () => this.store.makePlace(signal));
  }

  override async put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options?: PutOptions,
  ): Promise<void> {
    try {
      await this.#repeat(signal, () => this.store.put(key, data, signal, options));
    } catch (error) {
      throw isFault(error, 'store.full') ? withBytes(error, data.length) : error;
    }
  }

  override get(key: ObjectKey, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#repeat(signal, () => this.store.get(key, signal));
  }

  override getRange(
    key: ObjectKey,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    return this.#repeat(signal, () => this.store.getRange(key, range, signal));
  }

  /**
   * Starts a list again from its beginning if it breaks off, and skips what it has shown. Like any
   * list, it may show an object that was put meanwhile.
   */
  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    const patience = this.#startPatience(signal);
    let shown = '';
    for (;;) {
      try {
        const entries = heard(this.store.list(prefix, signal), this.#options.watch);
        for await (const entry of behind(shown, entries)) {
          shown = entry.key;
          patience.renew();
          yield entry;
        }
        return;
      } catch (error) {
        await patience.waitAfter(error);
      }
    }
  }

  override remove(key: ObjectKey, signal: AbortSignal): Promise<void> {
    return this.#repeat(signal, () => this.store.remove(key, signal));
  }

  async #repeat<Result>(signal: AbortSignal, operation: () => Promise<Result>): Promise<Result> {
    const patience = this.#startPatience(signal);
    for (;;) {
      this.#options.watch.asked();
      try {
        const result = await operation();
        this.#options.watch.answered();
        return result;
      } catch (error) {
        await patience.waitAfter(error);
      }
    }
  }

  #startPatience(signal: AbortSignal): Patience {
    return new Patience(this.#options, signal);
  }
}

/** Counts how often one operation has failed, and decides whether to try again. */
class Patience {
  readonly #options: Required<RetryOptions>;
  readonly #signal: AbortSignal;
  #failures = 0;
  #endsAtMs: number | undefined;

  constructor(options: Required<RetryOptions>, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Forgets earlier failures, because there was progress. */
  renew(): void {
    this.#failures = 0;
    this.#endsAtMs = undefined;
  }

  /** Waits before the next attempt, or throws `error` if there must be none. */
  async waitAfter(error: unknown): Promise<void> {
    const { clock, patienceMs, firstDelayMs, wait, chance } = this.#options;
    this.#tell(error);
    this.#signal.throwIfAborted();
    if (!isAway(error)) {
      throw error;
    }
    const nowMs = clock.monotonicMs();
    this.#endsAtMs ??= nowMs + patienceMs;
    const ceilingMs = Math.min(DELAY_MS_MAX, firstDelayMs * 2 ** this.#failures);
    // One half of the delay is fixed, the other random.
    const delayMs = ceilingMs * (0.5 + 0.5 * chance());
    if (nowMs + delayMs > this.#endsAtMs) {
      throw error;
    }
    this.#failures += 1;
    await wait(delayMs, this.#signal);
  }

  #tell(error: unknown): void {
    const { watch } = this.#options;
    if (this.#signal.aborted) {
      watch.left();
    } else if (isAway(error)) {
      const { answer, systemCode } = error.context;
      watch.failed(String(answer ?? systemCode ?? error.code).replace(/^Error /, ''));
    } else {
      watch.answered();
    }
  }
}

/** Says how large the object is for which there was no room. */
function withBytes(full: Fault, bytes: number): Fault {
  const message = `${full.message} It has no room for ${formatBytes(bytes)} (${String(bytes)} bytes) more.`;
  return new Fault(full.code, message, { ...full.context, bytes }, { cause: full });
}

function isAway(error: unknown): error is Fault {
  return isFault(error, 'store.unreachable') || isFault(error, 'store.nonsense');
}

/**
 * Reports the first answer only: how long the consumer takes for each entry is not the store's
 * doing.
 */
async function* heard(
  entries: AsyncIterable<ObjectEntry>,
  watch: StoreWatch,
): AsyncIterable<ObjectEntry> {
  watch.asked();
  const first = { isAsked: true };
  const answered = (): void => {
    if (first.isAsked) {
      first.isAsked = false;
      watch.answered();
    }
  };
  try {
    for await (const entry of entries) {
      answered();
      yield entry;
    }
    answered();
  } catch (error) {
    if (!first.isAsked) {
      watch.asked();
    }
    throw error;
  }
}

async function* behind(
  key: string,
  entries: AsyncIterable<ObjectEntry>,
): AsyncIterable<ObjectEntry> {
  for await (const entry of entries) {
    if (entry.key > key) {
      yield entry;
    }
  }
}
