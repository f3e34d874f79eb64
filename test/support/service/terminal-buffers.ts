import { Readable } from 'node:stream';

/** Collects what is written to it. */
export class TextBuffer {
  text = '';
  readonly isTTY: boolean;

  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }

  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

/** Standard input with these pieces; a terminal if `isTTY`. Ends after the last one. */
export class TypedInput extends Readable {
  readonly isTTY: boolean;
  readonly rawModes: boolean[] = [];
  private readonly pieces: string[];

  constructor(pieces: readonly string[] = [], isTTY = false) {
    super();
    this.pieces = [...pieces];
    this.isTTY = isTTY;
  }

  override _read(): void {
    this.push(this.pieces.shift() ?? null);
  }

  setRawMode(raw: boolean): void {
    this.rawModes.push(raw);
  }
}
