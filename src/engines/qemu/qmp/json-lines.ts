import { Fault } from '../../../kernel/fault.ts';

export interface JsonLimits {
  readonly lineBytesMax: number;
  readonly depthMax: number;
  /** How much may come at once; more is allowed at the rate of `bytesPerSecond`. */
  readonly burstBytesMax: number;
  readonly bytesPerSecond: number;
}

const BUFFER_BYTES = 4 * 1024;

/**
 * Cuts a byte stream into lines and parses each as JSON. The other side is not trusted: a line that
 * is too long, too deeply nested or no JSON, or more bytes than the limits allow, is a fault, and
 * the stream must be closed.
 */
export class JsonLines {
  private readonly limits: JsonLimits;
  /** The first `size` bytes are the part of a line that has arrived. */
  private buffer = Buffer.alloc(BUFFER_BYTES);
  private size = 0;
  private allowed: number;
  private countedAtMs = performance.now();

  constructor(limits: JsonLimits) {
    this.limits = limits;
    this.allowed = limits.burstBytesMax;
  }

  /** Memory used, in bytes. */
  get heldBytes(): number {
    return this.buffer.length;
  }

  /** Counts received bytes, also those that are dropped and not pushed. */
  count(bytes: number): void {
    const nowMs = performance.now();
    const refilled = ((nowMs - this.countedAtMs) / 1000) * this.limits.bytesPerSecond;
    this.countedAtMs = nowMs;
    this.allowed = Math.min(this.limits.burstBytesMax, this.allowed + refilled) - bytes;
    if (this.allowed < 0) {
      throw badReply('much more than was asked for');
    }
  }

  /** Returns the messages that `piece` completes; more than `messagesMax` are a fault. */
  push(piece: Buffer, messagesMax = Number.POSITIVE_INFINITY): unknown[] {
    const messages: unknown[] = [];
    let rest = piece;
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      this.keep(rest.subarray(0, end));
      const line = this.buffer.toString('utf8', 0, this.size).trim();
      this.clear();
      if (line !== '') {
        if (messages.length >= messagesMax) {
          throw badReply('more messages than were asked for');
        }
        messages.push(parseLimited(line, this.limits.depthMax));
      }
      rest = rest.subarray(end + 1);
    }
    this.keep(rest);
    return messages;
  }

  /** Forgets the part of a line that has arrived. */
  clear(): void {
    this.size = 0;
    if (this.buffer.length > BUFFER_BYTES) {
      this.buffer = Buffer.alloc(BUFFER_BYTES);
    }
  }

  private keep(piece: Buffer): void {
    const size = this.size + piece.length;
    if (size > this.limits.lineBytesMax) {
      throw badReply(`a line of more than ${this.limits.lineBytesMax} bytes`);
    }
    if (size > this.buffer.length) {
      // Doubled, so that a line that comes byte by byte takes memory in proportion to its length.
      const larger = Buffer.alloc(Math.max(size, 2 * this.buffer.length));
      this.buffer.copy(larger, 0, 0, this.size);
      this.buffer = larger;
    }
    piece.copy(this.buffer, this.size);
    this.size = size;
  }
}

/** JSON.parse for untrusted text: refuses deep nesting before it builds anything. */
export function parseLimited(text: string, depthMax: number): unknown {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (inString) {
      if (character === '\\') {
        index += 1;
      } else if (character === '"') {
        inString = false;
      }
    } else if (character === '"') {
      inString = true;
    } else if (character === '{' || character === '[') {
      depth += 1;
      if (depth > depthMax) {
        throw badReply(`more than ${depthMax} levels of nesting`);
      }
    } else if (character === '}' || character === ']') {
      depth -= 1;
    }
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badReply('something that is not JSON', error);
  }
}

function badReply(what: string, cause?: unknown): Fault {
  return new Fault(
    'engine.unreachable',
    `The hypervisor or guest sent ${what}; the connection was given up.`,
    {},
    { cause },
  );
}
