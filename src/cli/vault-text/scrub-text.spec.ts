import { damageText, scrubText } from './scrub-text.ts';

const time = (timeMs: number): string => `at ${String(timeMs)}`;
const REPORT = {
  depth: 'ids' as const,
  packs: 3,
  bytes: 2048,
  requests: 9,
  totalPacks: 10,
  totalBytes: 10_240,
  ended: 'budget' as const,
  damaged: [],
  damagedObjects: [],
};
const point = { pointId: 'P1', vmName: 'web', packs: 4, proven: 3, damaged: 0 };

describe('the report of a scrub', () => {
  it('says what was read and how deep, and of each point when it was last proven', () => {
    const points = [
      { ...point, proven: 4, oldestMs: 5 },
      { ...point, pointId: 'P2' },
      { ...point, pointId: 'P3', damaged: 1 },
      { ...point, pointId: 'P4', packs: 0, proven: 0, damaged: 1 },
    ];

    expect(scrubText(REPORT, points, time)).toBe(
      [
        '3 of 10 packs whole (every frame decrypted, every chunk id computed): 2.00 KiB of 10.0 KiB read, least recently checked first.',
        'P1 of web: last proven at 5',
        'P2 of web: 3 of 4 packs proven so far',
        'P3 of web: 1 pack found damaged',
        'P4 of web: its map cannot be read',
        '',
      ].join('\n'),
    );
  });

  it('says so when there was nothing to check', () => {
    const text = scrubText({ ...REPORT, packs: 0, totalPacks: 0 }, [], time);

    expect(text).toBe('The vault holds no packs: there was nothing to check.\n');
  });

  it('does not count what is damaged as whole, and names it', () => {
    const pack = { key: 'd/1', frames: [0], why: ['frame 0 is wrong.'], lostSlots: 3 };
    const whole = { ...pack, key: 'd/2', lostSlots: 0 };
    const report = { ...REPORT, damaged: [pack, whole], damagedObjects: ['gc/1'] };

    expect(scrubText(report, [], time)).toMatch(/^1 of 10 packs whole/);
    expect(damageText(report)).toBe(
      [
        'd/1: frame 0 is wrong. (3 slots lost)',
        'd/2: frame 0 is wrong. (whole in another generation)',
        'gc/1 is not what a holder of the key wrote.',
        '',
      ].join('\n'),
    );
    expect(damageText(REPORT)).toBe('');
  });
});
