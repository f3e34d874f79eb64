import { originCell, originText } from './origin-text.ts';

const time = (timeMs: number): string => `T${String(timeMs)}`;

describe('where a point comes from, in words', () => {
  it('is all that the point says', () => {
    const origin = { kind: 'policy', policy: 'p', revision: 3, run: 'r', attempt: 2 } as const;

    expect(
      originText({ origin: { ...origin, fireAtMs: 7, actor: 'web', service: 's' } }, time),
    ).toBe('policy p, due T7, revision 3, run r, attempt 2, asked for by web, service s');
    expect(originCell({ origin })).toBe('policy p');
  });

  it('is by hand where it does not say', () => {
    expect([originCell({}), originText({}, time)]).toEqual(['hand', 'not said, counts as by hand']);
  });
});
