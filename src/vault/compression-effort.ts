import type { CompressionLevel } from './zstd.ts';

const LEAST: CompressionLevel = 2;
const MOST: CompressionLevel = 7;
/** Shares of the time a pack took that were spent waiting for the store. */
const STALLED_MUCH = 0.25;
const STALLED_LITTLE = 0.05;

/**
 * How hard to compress: as hard as does not slow the job. While the store is slower than the
 * compressor, the processor has time to spare, and every pack tries one level more; when a pack
 * hardly waited, one level less.
 */
export class CompressionEffort {
  readonly #fixed: boolean;
  #level: CompressionLevel;

  /** @param fixed this level whatever happens */
  constructor(fixed?: CompressionLevel) {
    this.#fixed = fixed !== undefined;
    this.#level = fixed ?? LEAST;
  }

  get level(): CompressionLevel {
    return this.#level;
  }

  /** A pack was filled in `tookMs`, of which nothing could be done for `stalledMs`. */
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
