/**
 * The next piece of a stream, for which a step waits. `target` may be withdrawn while it is being
 * filled, unless it is lent: the rest is then skipped.
 */
export interface Fill {
  /** Undefined to skip the bytes. */
  target: Uint8Array | undefined;
  readonly length: number;
  /** Set while the system may write to the target at any time; called when it no longer can. */
  returned?: (() => void) | undefined;
}

/**
 * Code that reads a stream top-down: it yields what it waits for, and goes on once that is there.
 */
export type ByteSteps<Result> = Generator<Fill, Result, undefined>;

/** Waits for `length` bytes and returns them. The caller has checked that the length is sane. */
export function* takeBytes(length: number): ByteSteps<Uint8Array> {
  const target = new Uint8Array(length);
  yield { target, length };
  return target;
}

/** Returns a view on bytes, for reading numbers. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** From this size on, bytes are received where they belong instead of being copied there. */
const LEND_BYTES_MIN = 32 * 1024;
/** Size of other receives: heads of answers, with as little of their content as possible. */
const HEAD_BYTES = 4 * 1024;
const SKIP_BYTES = 256 * 1024;

/**
 * Feeds a stream to its steps as it arrives. Copying to shared memory is slow in V8 (1.5 GB/s if
 * the addresses differ in their last bits), so long pieces are received in place: the reader of the
 * stream gets `nextBuffer`, lets the system write there, and reports how much came.
 */
export class ByteFeed {
  private readonly steps: ByteSteps<void>;
  private readonly scratch = Buffer.allocUnsafeSlow(SKIP_BYTES);
  private fill: Fill | undefined;
  private filled = 0;
  private lent: Fill | undefined;

  constructor(steps: ByteSteps<void>) {
    this.steps = steps;
    this.advance();
  }

  /** Returns where the next bytes of the stream go. */
  nextBuffer(): Uint8Array {
    const target = this.fill?.target;
    if (this.fill === undefined || target === undefined) {
      return this.scratch;
    }
    if (this.fill.length - this.filled < LEND_BYTES_MIN) {
      return this.scratch.subarray(0, HEAD_BYTES);
    }
    this.lent = this.fill;
    this.lent.returned = () => undefined;
    return target.subarray(this.filled, this.fill.length);
  }

  /**
   * Call it with the number of bytes in the last buffer. Throws what the steps throw; do not use
   * the feed afterwards.
   */
  received(count: number): void {
    const { lent } = this;
    if (lent === undefined) {
      this.push(this.scratch.subarray(0, count));
      return;
    }
    this.lent = undefined;
    const { returned } = lent;
    lent.returned = undefined;
    returned?.();
    this.filled += count;
    if (this.filled === lent.length) {
      this.advance();
    }
  }

  /** Feeds bytes that are elsewhere. Throws what the steps throw. */
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
