import { storable } from './storable.ts';

describe('storable', () => {
  it('replaces what PostgreSQL does not take, at any depth and in names', () => {
    expect(
      storable({ notes: ['a\0b', 'half \ud83d'], 'na\0me': { deep: '\udc00 of a pair' }, n: 1 }),
    ).toEqual({
      notes: ['a\u{fffd}b', 'half \u{fffd}'],
      'na\u{fffd}me': { deep: '\u{fffd} of a pair' },
      n: 1,
    });
  });

  it('leaves everything else as it is', () => {
    const value = { text: 'ä 😀 \u0001', list: [null, true, 1.5], nothing: null };

    expect(storable(value)).toEqual(value);
  });
});
