import { setTimeout as sleep } from 'node:timers/promises';
import type { FrozenVm, WriteLatencies } from '../../engines/engine.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import type { GuestLatencyLimit } from '../../kernel/rates/guest-latency.ts';
import type { Pause, RateSource } from '../../kernel/rates/rate-limiter.ts';
import { LatencyWindow } from './latency-window.ts';
import { nextThrottling, RELEASED, type Throttling } from './throttle-step.ts';

const LOOK_MS = 1000;
/** Over how long the rate of our own reads is taken. */
const LOOKS_OF_RATE = 5;

export interface ThrottleParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly pause?: Pause;
}

interface ReadUntil {
  readonly atMs: number;
  readonly bytes: number;
}

/**
 * Slows reading of a frozen state down while the guest feels it: its own writes take longer than
 * they may. Watches from `start` until it is disposed of, and is one of the sources of the
 * backup's limiter.
 */
export class GuestThrottle implements RateSource, AsyncDisposable {
  /** How long the backup waited because of this. */
  waitedMs = 0;
  readonly #frozen: FrozenVm;
  readonly #limit: GuestLatencyLimit;
  readonly #parts: ThrottleParts;
  readonly #window = new LatencyWindow();
  readonly #ended = new AbortController();
  readonly #watching: Promise<void>;
  #throttling: Throttling = RELEASED;
  #readBytes = 0;
  #reads: ReadUntil[] = [];
  #isIgnored = false;

  private constructor(frozen: FrozenVm, limit: GuestLatencyLimit, parts: ThrottleParts) {
    this.#frozen = frozen;
    this.#limit = limit;
    this.#parts = parts;
    this.#watching = this.#watch().catch((error: unknown) => {
      // Nobody watches any more, so nothing is slowed down. The backup goes on.
      this.#throttling = RELEASED;
      if (!this.#ended.signal.aborted) {
        parts.log.warn('backup.guest-not-watched', { vmId: frozen.definition.id, error });
      }
    });
  }

  /** Returns undefined if there is no limit, or no guest that runs. */
  static start(
    frozen: FrozenVm,
    limit: GuestLatencyLimit | undefined,
    parts: ThrottleParts,
  ): GuestThrottle | undefined {
    return limit === undefined || frozen.guestWriteLatency === undefined
      ? undefined
      : new GuestThrottle(frozen, limit, parts);
  }

  rate(): number | undefined {
    return this.#throttling.bytesPerSecond;
  }

  took(bytes: number): void {
    this.#readBytes += bytes;
  }

  waited(durationMs: number): void {
    this.waitedMs += durationMs;
  }

  /** What the point should say, for people. */
  notes(): string[] {
    const { p99MsMax } = this.#limit;
    if (this.#isIgnored) {
      return [
        `The limit of ${p99MsMax} ms for the guest's writes was not kept: its processor is emulated, so it is slow whatever its disks do.`,
      ];
    }
    return this.waitedMs === 0
      ? []
      : [
          `Reading was slowed down because the guest's writes took longer than ${p99MsMax} ms; it waited ${(this.waitedMs / 1000).toFixed(1)} s.`,
        ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ended;
    const pause = this.#parts.pause ?? wait;
    while (!this.#isIgnored) {
      this.#look(await this.#frozen.guestWriteLatency?.(signal));
      await pause(LOOK_MS, signal);
    }
  }

  #look(latencies: WriteLatencies | undefined): void {
    if (latencies?.isEmulated === true && !this.#limit.underEmulation) {
      this.#isIgnored = true;
      return;
    }
    const nowMs = this.#parts.clock.monotonicMs();
    this.#window.add(nowMs, latencies);
    const isSlow = (this.#window.p99Ms() ?? 0) > this.#limit.p99MsMax;
    const readBytesPerSecond = this.#readRate(nowMs);
    const next = nextThrottling(this.#throttling, { nowMs, isSlow, readBytesPerSecond });
    if (next.loweredAtMs > this.#throttling.loweredAtMs) {
      // What is written from now on tells whether that was enough.
      this.#window.startAnew();
    }
    this.#throttling = next;
  }

  /** Returns how fast we read lately. */
  #readRate(nowMs: number): number {
    this.#reads = [...this.#reads, { atMs: nowMs, bytes: this.#readBytes }].slice(-LOOKS_OF_RATE);
    const { atMs, bytes } = this.#reads[0] ?? { atMs: nowMs, bytes: this.#readBytes };
    return ((this.#readBytes - bytes) / Math.max(1, nowMs - atMs)) * 1000;
  }
}

async function wait(delayMs: number, signal: AbortSignal): Promise<void> {
  await sleep(delayMs, undefined, { signal });
}
