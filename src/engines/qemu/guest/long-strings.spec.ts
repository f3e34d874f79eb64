import { LongStrings } from './long-strings.ts';

describe('LongStrings', () => {
  /** Shortens a text that arrives in pieces of so many bytes. */
  function shortened(text: string, bytesMax: number, pieceBytes: number): string {
    const strings = new LongStrings(bytesMax);
    const bytes = Buffer.from(text);
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      pieces.push(strings.shorten(bytes.subarray(at, at + pieceBytes)));
    }
    return Buffer.concat(pieces).toString();
  }

  it.each([
    ['short strings', '{"a":"1234","b":[]}\n', '{"a":"1234","b":[]}\n'],
    ['a long one', '{"a":"123456789","b":1}\n', '{"a":"1234","b":1}\n'],
    ['an escaped quote', '{"a":"12\\"456","b":1}\n', '{"a":"12\\"4","b":1}\n'],
    ['an escape at the limit', '{"a":"123\\"56","b":1}\n', '{"a":"123\\"","b":1}\n'],
    ['an escape behind the limit', '{"a":"1234\\"6","b":1}\n', '{"a":"1234","b":1}\n'],
    ['an open string and the next line', '"12345678\n{"b":"1"}\n', '"1234\n{"b":"1"}\n'],
  ])('leaves the rest as it is: %s', (_, text, expected) => {
    for (const pieceBytes of [1, 2, 3, 100]) {
      expect(shortened(text, 4, pieceBytes)).toBe(expected);
    }
  });
});
