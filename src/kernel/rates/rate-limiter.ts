import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { showLife } from '../signs-of-life.ts';
import { Semaphore } from '../waiting/semaphore.ts';
import { rateAt, type RateLimits } from './rate-limits.ts';

/** How often to ask for the rate: a new one counts at most this much later. */
const LOOK_MS = 1000;

/** Something that limits a rate now. */
export interface RateSource {
  /** Bytes per second; undefined for no limit. Must be cheap. */
  rate(): number | undefined;
  /** Told how much longer a reader waited because of this source than without it. */
  waited?(durationMs: number): void;
  /** Told how much was let through. */
  took?(bytes: number): void;
}

/** Waits, and throws the signal's reason when it fires. */
export type Pause = (delayMs: number, signal: AbortSignal) => Promise<void>;

const pause: Pause = async (delayMs, signal) => sleep(delayMs, undefined, { signal });

/**
 * Keeps reads at a rate that may change while they run. Callers call `take` before they read.
 *
 * From any instant on, at most one second's worth more is let through than the rate allows: unused
 * time is worth no more, and a read larger than that is paid for in full before it begins.
 */
export class RateLimiter {
  readonly #sources: readonly RateSource[];
  readonly #clock: Clock;
  readonly #pause: Pause;
  /** One caller at a time, in the order in which they came. */
  readonly #turn = new Semaphore(1);
  #source: RateSource | undefined;
  #rate: number | undefined;
  /** The rate without that source. */
  #otherRate: number | undefined;
  /** Bytes that may be read at once. */
  #credit = 0;
  #countedAtMs: number;
  #lookedAtMs = -Infinity;

  /** @param sources the lowest counts */
  constructor(sources: readonly RateSource[], clock: Clock, wait: Pause = pause) {
    this.#sources = sources;
    this.#clock = clock;
    this.#pause = wait;
    this.#countedAtMs = clock.monotonicMs();
  }

  /** Waits until `bytes` more may be read. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    await this.#turn.run(async () => this.#pay(bytes, signal), signal);
    for (const source of this.#sources) {
      source.took?.(bytes);
    }
  }

  async #pay(bytes: number, signal: AbortSignal): Promise<void> {
    let unpaid = bytes;
    while (unpaid > 0) {
      const rate = this.#count();
      if (rate === undefined) {
        return;
      }
      const paid = Math.min(unpaid, this.#credit);
      this.#credit -= paid;
      unpaid -= paid;
      if (unpaid > 0) {
        await this.#wait((unpaid / rate) * 1000, signal);
      }
    }
  }

  async #wait(neededMs: number, signal: AbortSignal): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    showLife();
    await this.#pause(Math.min(LOOK_MS, Math.max(1, Math.ceil(neededMs))), signal);
    const waitedMs = this.#clock.monotonicMs() - startMs;
    const share = (this.#rate ?? 0) / (this.#otherRate ?? Infinity);
    this.#source?.waited?.(waitedMs * (1 - share));
  }

  /** Adds what was earned since the last call. @returns the rate now */
  #count(): number | undefined {
    const nowMs = this.#clock.monotonicMs();
    const earned = ((nowMs - this.#countedAtMs) / 1000) * (this.#rate ?? 0);
    this.#countedAtMs = nowMs;
    if (nowMs - this.#lookedAtMs >= LOOK_MS) {
      this.#lookedAtMs = nowMs;
      this.#look();
    }
    this.#credit = Math.min(this.#credit + earned, this.#rate ?? 0);
    return this.#rate;
  }

  #look(): void {
    const [lowest, next] = this.#sources
      .map((source) => ({ source, rate: source.rate() ?? Infinity }))
      .filter(({ rate }) => rate < Infinity)
      .sort((a, b) => a.rate - b.rate);
    this.#source = lowest?.source;
    this.#rate = lowest?.rate;
    this.#otherRate = next?.rate;
  }
}

/**
 * Returns what keeps the limits of a job; undefined if there are none.
 * @param other what limits the job besides
 */
export function limiterFor(
  limits: RateLimits | undefined,
  clock: Clock,
  other?: RateSource,
): RateLimiter | undefined {
  const sources = other === undefined ? [] : [other];
  if (limits !== undefined && limits.windows.length > 0) {
    const { windows, zone } = limits;
    sources.push({ rate: () => rateAt(windows, clock.nowMs(), zone) });
  }
  return sources.length === 0 ? undefined : new RateLimiter(sources, clock);
}
