/**
 * The next piece of a stream that a step waits for. `target` may be taken away while it is being
 * filled: the rest is then skipped.
 */
export interface Fill {
  /** Undefined: skip the bytes. */
  target: Uint8Array | undefined;
  readonly length: number;
}

/** Code that reads a stream top-down: it yields what it waits for and goes on when that is there. */
export type ByteSteps<Result> = Generator<Fill, Result, undefined>;

/** Waits for `length` bytes and returns them. The caller has checked that the length is sane. */
export function* takeBytes(length: number): ByteSteps<Uint8Array> {
  const target = new Uint8Array(length);
  yield { target, length };
  return target;
}

/** A view on bytes, for numbers. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Feeds a stream to its steps as it comes, copying every byte once, to where it belongs. */
export class ByteFeed {
  private readonly steps: ByteSteps<void>;
  private fill: Fill | undefined;
  private filled = 0;

  constructor(steps: ByteSteps<void>) {
    this.steps = steps;
    this.advance();
  }

  /** Whatever the steps throw comes out here; the feed is of no use afterwards. */
  push(bytes: Uint8Array): void {
    let position = 0;
    while (position < bytes.length && this.fill !== undefined) {
      const take = Math.min(bytes.length - position, this.fill.length - this.filled);
      this.fill.target?.set(bytes.subarray(position, position + take), this.filled);
      this.filled += take;
      position += take;
      if (this.filled === this.fill.length) {
        this.advance();
      }
    }
  }

  private advance(): void {
    do {
      const { value, done } = this.steps.next();
      this.fill = done === true ? undefined : value;
      this.filled = 0;
    } while (this.fill?.length === 0);
  }
}
