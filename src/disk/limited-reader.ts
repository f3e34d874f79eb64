import type { RateLimiter } from '../kernel/rates/rate-limiter.ts';
import { DiskReader } from './disk-reader.ts';
import type { ContentExtent, Extent } from './extent.ts';

/** Returns a reader that keeps the rate, if there is one. */
export function limited(reader: DiskReader, limiter: RateLimiter | undefined): DiskReader {
  return limiter === undefined ? reader : new LimitedReader(reader, limiter);
}

/** Workers cannot read past it: it has no `rawFile`. */
class LimitedReader extends DiskReader {
  override readonly size: number;
  readonly #source: DiskReader;
  readonly #limiter: RateLimiter;

  constructor(source: DiskReader, limiter: RateLimiter) {
    super();
    this.size = source.size;
    this.#source = source;
    this.#limiter = limiter;
  }

  override async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#limiter.take(target.length, signal);
    await this.#source.read(offset, target, signal);
  }

  override extents(signal: AbortSignal, within?: Extent): AsyncIterable<ContentExtent> {
    return this.#source.extents(signal, within);
  }

  override async close(): Promise<void> {
    await this.#source.close();
  }
}
