import { JsonLines, parseLimited } from './json-lines.ts';

const limits = { lineBytesMax: 100, depthMax: 3, burstBytesMax: 1000, bytesPerSecond: 0 };

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

  it('gives up on more than was asked for, however it comes', () => {
    const lines = new JsonLines(limits);
    expect(() => lines.push(Buffer.from('1\n2\n3\n'), 2)).toThrow('connection was given up');

    for (let count = 0; count < 10; count += 1) {
      lines.count(100);
    }
    expect(() => {
      lines.count(1);
    }).toThrow('connection was given up');
  });

  it('keeps a line that comes byte by byte in as much memory as it is long', () => {
    const long = { ...limits, lineBytesMax: 1_000_000 };
    const lines = new JsonLines(long);
    const text = `"${'x'.repeat(100_000)}"`;
    for (const byte of Buffer.from(text)) {
      lines.push(Buffer.of(byte));
    }

    expect(lines.heldBytes).toBeLessThan(4 * text.length);
    expect(lines.push(Buffer.from('\n'))).toEqual([JSON.parse(text)]);
    expect(lines.heldBytes).toBeLessThan(10_000);
  });

  it('does not count brackets in strings', () => {
    expect(parseLimited('{"a":"[[[[\\"[["}', 1)).toEqual({ a: '[[[["[[' });
  });
});
