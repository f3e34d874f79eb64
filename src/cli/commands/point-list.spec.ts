import { provenText } from './point-list.ts';

const time = (timeMs: number): string => `at ${String(timeMs)}`;

describe('provenText', () => {
  it.each([
    { what: 'nothing is known', known: {}, shown: 'never' },
    { what: 'it was verified', known: { provenAtMs: 5 }, shown: 'at 5' },
    {
      what: 'scrubs are on their way',
      known: { scrub: { packs: 4, proven: 3, damaged: 0 } },
      shown: '3 of 4 packs',
    },
    {
      what: 'it was verified before scrubs came round',
      known: { provenAtMs: 5, scrub: { packs: 4, proven: 3, damaged: 0 } },
      shown: 'at 5',
    },
    {
      what: 'a verification found damage',
      known: { provenAtMs: 5, damagedAtMs: 9 },
      shown: 'DAMAGED, seen at 9',
    },
    {
      what: 'a scrub found damage after a verification',
      known: { provenAtMs: 5, scrub: { packs: 4, proven: 3, damaged: 1 } },
      shown: 'DAMAGED, 1 pack',
    },
  ])('says $shown when $what', ({ known, shown }) => {
    expect(provenText(known, time)).toBe(shown);
  });
});
