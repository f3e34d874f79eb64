import type { Clock } from '../../../kernel/clock.ts';
import type { CompressionLevel } from '../../bytes/zstd.ts';
import { CompressionEffort } from './compression-effort.ts';

/** Measures how long packs take and how long nothing can be filled, and so how hard to compress. */
export class FillingPace {
  readonly #clock: Clock;
  readonly #effort: CompressionEffort;
  #beganMs: number | undefined;
  #stalledSinceMs: number | undefined;

  /** @param level fixed level; default: the highest that does not slow the job */
  constructor(clock: Clock, level?: CompressionLevel) {
    this.#clock = clock;
    this.#effort = new CompressionEffort(level);
  }

  /** Level at which the next task compresses. */
  get level(): CompressionLevel {
    return this.#effort.level;
  }

  /** Nothing can be filled until the next pack begins. */
  stall(): void {
    this.#stalledSinceMs ??= this.#clock.monotonicMs();
  }

  /** A pack begins: the time since the one before it began counts for that one. */
  begin(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#beganMs !== undefined) {
      const stalledMs = nowMs - (this.#stalledSinceMs ?? nowMs);
      this.#effort.filled({ tookMs: nowMs - this.#beganMs, stalledMs });
    }
    this.#beganMs = nowMs;
    this.#stalledSinceMs = undefined;
  }
}
