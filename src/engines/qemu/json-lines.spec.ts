import { JsonLines, parseLimited } from './json-lines.ts';

const limits = { lineBytesMax: 100, depthMax: 3 };

describe('JsonLines', () => {
  it('puts lines together from whatever pieces they come in', () => {
    const lines = new JsonLines(limits);
    const bytes = Buffer.from('{"a":"ä"}\r\n\n{"b":2}\n{"c"');

    const messages = [...bytes].flatMap((byte) => lines.push(Buffer.of(byte)));

    expect(messages).toEqual([{ a: 'ä' }, { b: 2 }]);
    expect(lines.push(Buffer.from(':3}\n'))).toEqual([{ c: 3 }]);
  });

  it.each([
    ['too long a line', `"${'x'.repeat(100)}"\n`],
    ['a line that never ends', 'x'.repeat(101)],
    ['too deep a line', '[[[[]]]]\n'],
    ['what is not JSON', 'hello\n'],
  ])('gives up on %s', (_, text) => {
    expect(() => new JsonLines(limits).push(Buffer.from(text))).toThrow('connection was given up');
  });

  it('does not count brackets in strings', () => {
    expect(parseLimited('{"a":"[[[[\\"[["}', 1)).toEqual({ a: '[[[["[[' });
  });
});
