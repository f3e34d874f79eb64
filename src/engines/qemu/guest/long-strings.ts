const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;

/**
 * Shortens the strings of a stream of JSON lines while it arrives: what a program printed comes as
 * one string, of which only the beginning is wanted. An escape that straddles the limit is left
 * whole or out.
 */
export class LongStrings {
  private isInside = false;
  private isEscaped = false;
  private length = 0;

  private readonly bytesMax: number;

  /** @param bytesMax of a string that is kept */
  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Returns `piece` without the ends of long strings. */
  shorten(piece: Buffer): Buffer {
    const kept = Buffer.allocUnsafe(piece.length);
    let size = 0;
    for (const byte of piece) {
      if (this.keeps(byte)) {
        kept[size] = byte;
        size += 1;
      }
    }
    return kept.subarray(0, size);
  }

  private keeps(byte: number): boolean {
    if (byte === NEWLINE) {
      // No string of a line goes on in the next one.
      this.isInside = false;
      this.isEscaped = false;
      return true;
    }
    if (!this.isInside) {
      this.isInside = byte === QUOTE;
      this.length = 0;
      return true;
    }
    if (this.isEscaped) {
      this.isEscaped = false;
      return this.length <= this.bytesMax;
    }
    if (byte === QUOTE) {
      this.isInside = false;
      return true;
    }
    this.isEscaped = byte === BACKSLASH;
    // An escape counts as one, and both of its bytes share its fate.
    this.length += 1;
    return this.length <= this.bytesMax;
  }
}
