import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../kernel/clock.ts';

/** Idle time that later transfers may use up, so that a slow start does not count for ever. */
const CREDIT_MS_MAX = 1000;

/** Keeps a long transfer at an average rate. Callers call `take` before they read. */
export class Throttle {
  readonly #bytesPerSecond: number | undefined;
  readonly #clock: Clock;
  readonly #wait: (delayMs: number, signal: AbortSignal) => Promise<void>;
  /** When everything taken so far is paid for at this rate. */
  #dueMs = -Infinity;

  /** @param bytesPerSecond undefined for no limit */
  constructor(
    bytesPerSecond: number | undefined,
    clock: Clock,
    wait = async (delayMs: number, signal: AbortSignal): Promise<void> =>
      sleep(delayMs, undefined, { signal }),
  ) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#wait = wait;
  }

  get limits(): boolean {
    return this.#bytesPerSecond !== undefined;
  }

  /** Waits until `bytes` more may be read. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === undefined) {
      return;
    }
    const nowMs = this.#clock.monotonicMs();
    const startMs = Math.max(this.#dueMs, nowMs - CREDIT_MS_MAX);
    this.#dueMs = startMs + (bytes / this.#bytesPerSecond) * 1000;
    if (startMs > nowMs) {
      await this.#wait(startMs - nowMs, signal);
    }
  }
}
