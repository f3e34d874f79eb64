import { plainWords } from './plain-text.ts';

describe('plainWords', () => {
  it('leaves ordinary words as they are, in any language', () => {
    expect(plainWords('Gerät „sda“ antwortet nicht 💾', 100)).toBe(
      'Gerät „sda“ antwortet nicht 💾',
    );
  });

  it('makes one line of several', () => {
    expect(plainWords('  first\r\n\tsecond\u2028third\n', 100)).toBe('first second third');
  });

  it('lets no control character through', () => {
    expect(plainWords('a\0b\u001b[31mc\u202ed\u009be', 100)).toBe(
      'a\u{fffd}b\u{fffd}[31mc\u{fffd}d\u{fffd}e',
    );
  });

  it('mends halves of characters', () => {
    expect(plainWords('a\ud83db\udcbec', 100)).toBe('a\u{fffd}b\u{fffd}c');
  });

  it('never cuts a character in half, from either end', () => {
    expect(plainWords('ab💾cd', 3)).toBe('ab');
    expect(plainWords('ab💾cd', 4)).toBe('ab💾');
    expect(plainWords('ab💾cd', 3, 'end')).toBe('cd');
    expect(plainWords('ab💾cd', 4, 'end')).toBe('💾cd');
  });

  it('makes text that PostgreSQL and JSON take, of any text', () => {
    const units = Array.from({ length: 0x1_0000 }, (_, code) => String.fromCharCode(code));
    const texts = units.flatMap((unit) => [unit, `x${unit}y`]);
    const words = texts.flatMap((text) => [plainWords(text, 2), plainWords(text, 2, 'end')]);

    expect(words.filter((word) => !word.isWellFormed())).toEqual([]);
    expect(words.filter((word) => /\p{Cc}/u.test(word))).toEqual([]);
    expect(words.filter((word) => word.length > 2)).toEqual([]);
  });
});
