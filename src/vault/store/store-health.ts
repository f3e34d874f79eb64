import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import { showLife } from '../../kernel/signs-of-life.ts';

/**
 * A large object on a slow line takes a while; a longer time without any answer counts as silence.
 */
const SILENT_MS = 30_000;

/** What distinguishes one store from another. */
interface StoreAddress {
  readonly location: string;
  readonly endpoint?: string | undefined;
}

/** Told how one store answers. */
export interface StoreWatch {
  /** A request was sent. */
  asked(): void;
  /** The request was answered, perhaps with a refusal. */
  answered(): void;
  /** Nothing answered the request. */
  failed(reason: string): void;
  /** The caller no longer waits for the request. */
  left(): void;
}

/** A store that does not answer. */
export interface StoreTrouble {
  readonly sinceMs: number;
  /** A sentence for people. */
  readonly text: string;
}

type Listener = (place: string, trouble: StoreTrouble | undefined) => void;

interface Place {
  readonly location: string;
  underWay: number;
  timer?: NodeJS.Timeout | undefined;
  trouble?: StoreTrouble | undefined;
}

/**
 * Tracks which stores do not answer now, and logs once when one goes away and once when it is back.
 */
export class StoreHealth {
  readonly #places = new Map<string, Place>();
  readonly #listeners = new Set<Listener>();
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #silentMs: number;

  constructor(clock: Clock, log: Log, { silentMs = SILENT_MS } = {}) {
    this.#clock = clock;
    this.#log = log;
    this.#silentMs = silentMs;
  }

  troubleOf(place: StoreAddress): StoreTrouble | undefined {
    return this.#places.get(placeKey(place))?.trouble;
  }

  onChange(listener: Listener): void {
    this.#listeners.add(listener);
  }

  /** Returns the watch of the store at one place, shared by all who use it. */
  watch(where: StoreAddress): StoreWatch {
    const key = placeKey(where);
    const place = this.#places.get(key) ?? { location: where.location, underWay: 0 };
    this.#places.set(key, place);
    const ended = (): void => {
      place.underWay -= 1;
      if (place.underWay === 0) {
        clearTimeout(place.timer);
        place.timer = undefined;
      }
    };
    return {
      asked: () => {
        place.underWay += 1;
        if (place.timer === undefined) {
          this.#expect(key, place);
        }
      },
      answered: () => {
        showLife();
        ended();
        this.#back(key, place);
        if (place.underWay > 0) {
          this.#expect(key, place);
        }
      },
      failed: (reason) => {
        ended();
        this.#away(key, place, reason);
      },
      left: ended,
    };
  }

  /** Counts the store as silent if nothing answers within the limit. */
  #expect(key: string, place: Place): void {
    clearTimeout(place.timer);
    place.timer = setTimeout(() => {
      this.#away(key, place, `no answer for ${String(Math.round(this.#silentMs / 1000))} s`);
    }, this.#silentMs);
    place.timer.unref();
  }

  #away(key: string, place: Place, reason: string): void {
    if (place.trouble !== undefined) {
      return;
    }
    const { location } = place;
    const sinceMs = this.#clock.nowMs();
    const since = new Date(sinceMs).toISOString().slice(11, 19);
    const text = `the store does not answer since ${since} UTC (${reason}), trying again`;
    place.trouble = { sinceMs, text };
    this.#log.warn('store.away', { location, reason });
    this.#tell(key, place.trouble);
  }

  #back(key: string, place: Place): void {
    const { location, trouble } = place;
    if (trouble !== undefined) {
      place.trouble = undefined;
      this.#log.info('store.back', { location, awayMs: this.#clock.nowMs() - trouble.sinceMs });
      this.#tell(key, undefined);
    }
  }

  #tell(key: string, trouble: StoreTrouble | undefined): void {
    for (const listener of this.#listeners) {
      listener(key, trouble);
    }
  }
}

/** Returns a key that is the same for all addresses of one store. */
export function placeKey({ location, endpoint }: StoreAddress): string {
  return `${endpoint ?? ''} ${location}`;
}
