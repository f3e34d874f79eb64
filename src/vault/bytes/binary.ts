import assert from 'node:assert/strict';

/**
 * Says why bytes could not be parsed. The caller, which knows what they were, turns it into a
 * fault.
 */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

/** Throws Malformed unless `condition` holds. */
export function demand(condition: boolean, why: string): asserts condition {
  if (!condition) {
    throw new Malformed(why);
  }
}

/** Collects little-endian fields; grows as needed. */
export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(sizeExpected = 256) {
    this.#bytes = Buffer.allocUnsafe(sizeExpected);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    // Before the buffer is used, because `#room` may replace it.
    const at = this.#room(1);
    this.#bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.#room(2);
    this.#bytes.writeUInt16LE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#room(4);
    this.#bytes.writeUInt32LE(value, at);
    return this;
  }

  /** Unsigned LEB128. */
  varint(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, `not a varint: ${value}`);
    let rest = value;
    while (rest >= 128) {
      this.u8((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    return this.u8(rest);
  }

  /** A signed integer of at most 31 bits. */
  zigzag(value: number): this {
    return this.varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  bytes(source: Uint8Array): this {
    const at = this.#room(source.length);
    this.#bytes.set(source, at);
    return this;
  }

  /** Returns what was written. Do not use the writer afterwards. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(count: number): number {
    const at = this.#length;
    if (at + count > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, at + count));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    this.#length += count;
    return at;
  }
}

/** Reads what ByteWriter wrote. Never reads past the end: throws Malformed instead. */
export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#bytes.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  /** @param max largest value that makes sense; a larger one is damage */
  varint(max = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte < 128) {
        demand(value <= max, 'a number is too large');
        return value;
      }
      scale *= 128;
    }
    throw new Malformed('a number is too long');
  }

  zigzag(): number {
    const value = this.varint(0xffff_ffff);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** Returns a view, not a copy. */
  bytes(count: number): Buffer {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  /** Throws Malformed if anything is left. */
  end(): void {
    demand(this.left === 0, 'there is more than there should be');
  }

  #take(count: number): number {
    const at = this.#at;
    demand(count <= this.left, 'it is cut short');
    this.#at += count;
    return at;
  }
}

/** Runs a parser and turns Malformed into the fault that `describe` returns. */
export function parseOr<T>(describe: (why: string, cause: Malformed) => Error, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof Malformed) {
      throw describe(error.message, error);
    }
    throw error;
  }
}

/** @throws Malformed */
export function parseJson(text: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(text.buffer, text.byteOffset, text.length).toString('utf8'));
  } catch {
    // What V8 says about it does not help.
    throw new Malformed('it is no JSON');
  }
}

/**
 * Reverses the bytes of a 32-bit word: this machine keeps the last byte first, and ids sort by the
 * first.
 */
export function byteSwapped(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
