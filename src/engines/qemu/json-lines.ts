import { Fault } from '../../kernel/fault.ts';

export interface JsonLimits {
  readonly lineBytesMax: number;
  readonly depthMax: number;
}

/**
 * Cuts a byte stream into lines and parses each as JSON. The other side is not trusted: a line that
 * is too long or nested too deeply, or no JSON, is a fault and the stream must be given up.
 */
export class JsonLines {
  private readonly limits: JsonLimits;
  private pieces: Buffer[] = [];
  private size = 0;

  constructor(limits: JsonLimits) {
    this.limits = limits;
  }

  /** The messages that `piece` completes. */
  push(piece: Buffer): unknown[] {
    const messages: unknown[] = [];
    let rest = piece;
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      this.keep(rest.subarray(0, end));
      const line = Buffer.concat(this.pieces).toString('utf8').trim();
      this.clear();
      if (line !== '') {
        messages.push(parseLimited(line, this.limits.depthMax));
      }
      rest = rest.subarray(end + 1);
    }
    this.keep(rest);
    return messages;
  }

  /** Forgets the part of a line that has arrived. */
  clear(): void {
    this.pieces = [];
    this.size = 0;
  }

  private keep(piece: Buffer): void {
    this.size += piece.length;
    if (this.size > this.limits.lineBytesMax) {
      throw badReply(`a line of more than ${this.limits.lineBytesMax} bytes`);
    }
    // A copy: the socket may use its buffer again.
    this.pieces.push(Buffer.from(piece));
  }
}

/** JSON.parse for text of strangers: refuses deep nesting before building anything. */
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
