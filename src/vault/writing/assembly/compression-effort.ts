import type { CompressionLevel } from '../../bytes/zstd.ts';

const LEAST: CompressionLevel = 2;
const MOST: CompressionLevel = 7;
/** Shares of a pack's time that were spent waiting for the store. */
const STALLED_MUCH = 0.25;
const STALLED_LITTLE = 0.05;

/**
 * Chooses the highest compression level that does not slow the job. While the store is slower than
 * the compressor, each pack gets one level more; after a pack that hardly waited, one level less.
 */
export class CompressionEffort {
  readonly #fixed: boolean;
  #level: CompressionLevel;

  /** @param fixed always use this level */
  constructor(fixed?: CompressionLevel) {
    this.#fixed = fixed !== undefined;
    this.#level = fixed ?? LEAST;
  }

  get level(): CompressionLevel {
    return this.#level;
  }

  /**
   * Call it for each pack that was filled: it took `tookMs`, and nothing could be done for
   * `stalledMs`.
   */
  filled({ tookMs, stalledMs }: { readonly tookMs: number; readonly stalledMs: number }): void {
    if (this.#fixed || tookMs <= 0) {
      return;
    }
    const share = stalledMs / tookMs;
    if (share > STALLED_MUCH && this.#level < MOST) {
      this.#level = (this.#level + 1) as CompressionLevel;
    } else if (share < STALLED_LITTLE && this.#level > LEAST) {
      this.#level = (this.#level - 1) as CompressionLevel;
    }
  }
}
