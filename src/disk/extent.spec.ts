import fc from 'fast-check';
import { mergeExtents, overlay, totalLength, type Content, type ContentExtent } from './extent.ts';

const DISK = 64;

/** The plain model: one letter per byte, a space where nothing is known. */
function paint(extents: readonly ContentExtent[], onto = ' '.repeat(DISK)): string {
  const cells = Array.from(onto);
  for (const { offset, length, content } of extents) {
    cells.fill(content === 'data' ? 'd' : 'z', offset, offset + length);
  }
  return cells.join('');
}

const layer = fc
  .array(
    fc.record({
      offset: fc.nat(DISK - 1),
      length: fc.integer({ min: 1, max: 9 }),
      content: fc.constantFrom<Content>('data', 'zero'),
    }),
    { maxLength: 12 },
  )
  .map((writes) => {
    // Reading the painted cells back gives an ascending, disjoint layer.
    const painted = paint(
      writes.map((write) => ({ ...write, length: Math.min(write.length, DISK - write.offset) })),
    );
    return [...painted.matchAll(/d+|z+/g)].map(({ 0: run, index }): ContentExtent => ({
      offset: index,
      length: run.length,
      content: run.startsWith('d') ? 'data' : 'zero',
    }));
  });

describe('overlay', () => {
  it('shows the newer content where both know something, byte for byte', () => {
    fc.assert(
      fc.property(layer, layer, (older, newer) => {
        const result = overlay(older, newer);

        expect(paint(result)).toBe(paint(newer, paint(older)));
      }),
      { seed: 20_081, numRuns: 500 },
    );
  });

  it('joins touching ranges of one content', () => {
    const result = overlay(
      [{ offset: 0, length: 8, content: 'data' }],
      [{ offset: 8, length: 8, content: 'data' }],
    );

    expect(result).toEqual([{ offset: 0, length: 16, content: 'data' }]);
  });
});

describe('mergeExtents', () => {
  it.each([
    { title: 'nothing', input: [], merged: [] },
    { title: 'an empty range', input: [{ offset: 3, length: 0 }], merged: [] },
    {
      title: 'overlap, touch and gap in any order',
      input: [
        { offset: 20, length: 5 },
        { offset: 4, length: 4 },
        { offset: 0, length: 5 },
        { offset: 8, length: 2 },
      ],
      merged: [
        { offset: 0, length: 10 },
        { offset: 20, length: 5 },
      ],
    },
    {
      title: 'a range inside another',
      input: [
        { offset: 0, length: 10 },
        { offset: 2, length: 3 },
      ],
      merged: [{ offset: 0, length: 10 }],
    },
  ])('merges $title', ({ input, merged }) => {
    expect(mergeExtents(input)).toEqual(merged);
  });

  it('keeps the sum of disjoint ranges', () => {
    const disjoint = [
      { offset: 0, length: 3 },
      { offset: 10, length: 4 },
    ];

    expect(totalLength(mergeExtents(disjoint))).toBe(7);
  });
});
