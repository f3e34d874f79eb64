import { isWorthPruning, prunePlanText, pruneReportText } from './prune-text.ts';

const time = (timeMs: number): string => `at ${String(timeMs)}`;

const PLAN = {
  points: [{ vmId: 'v', id: 'p' }],
  standingPoints: 3,
  vms: 1,
  removedPacks: 2,
  compactedPacks: 1,
  deadSlots: 30,
  removedBytes: 3 * 2 ** 20,
  writtenBytes: 2 ** 20,
  readBytes: 2 ** 21,
  deadBytesLeft: 0,
  youngBytes: 0,
  requests: { get: 4, put: 3, remove: 5 },
};
const NOTHING = { ...PLAN, points: [], removedPacks: 0, compactedPacks: 0, deadSlots: 0 };
const COST = { amount: 0.0123, currency: 'USD', prices: 'A store', asOf: '2026-05' };
const REPORT = {
  removedPoints: [],
  standingPoints: 3,
  vms: 2,
  givenUpPoints: [],
  removedPacks: 1,
  compactedPacks: 0,
  mergedPacks: 0,
  removedBytes: 10,
  writtenBytes: 20,
  deadBytesLeft: 0,
  damagedPacks: [],
  refusedRemovals: 0,
  noRoomToRewrite: false,
};

describe('the plan of a prune', () => {
  it('has points, packs, chunks, bytes, requests and money', () => {
    expect(prunePlanText(PLAN, COST, time)).toBe(
      [
        '3 recovery points of 1 VM stand; 1 recovery point given up.',
        '2 packs to remove, 1 pack to write anew: frees about 2.00 MiB (30 chunks).',
        'About 4 GET, 3 PUT, 5 DELETE; reads 2.00 MiB, writes 1.00 MiB; about 0.012 USD (A store, prices of 2026-05; check your bill).',
        '',
      ].join('\n'),
    );
  });

  it('leaves out the money where nobody knows prices, and says what stays', () => {
    const left = { deadBytesLeft: 3072, youngBytes: 1024 };
    const text = prunePlanText({ ...PLAN, ...left }, undefined, time);

    expect(text).not.toContain('USD');
    expect(text).toContain(
      '3.00 KiB that nothing needs stay: 1.00 KiB in young packs (--young), 2.00 KiB in packs that are mostly needed (--live-share).',
    );
  });

  it('is worth a question only if it changes something', () => {
    expect(isWorthPruning(PLAN)).toBe(true);
    expect(isWorthPruning(NOTHING)).toBe(false);
    expect(isWorthPruning({ ...NOTHING, deadSlots: 1 })).toBe(true);
    expect(isWorthPruning({ ...PLAN, waitsUntilMs: 7 })).toBe(false);
  });
});

describe('a machine that has not known the points for a day', () => {
  it('says until when it removes nothing, and the word that makes it go', () => {
    const plan = prunePlanText({ ...PLAN, waitsUntilMs: 7 }, undefined, time);
    const report = pruneReportText({ ...REPORT, waitsUntilMs: 'never' }, time);

    expect(plan).toContain('prune again after at 7');
    expect(plan).toContain('--all-points-are-listed');
    expect(report).toMatch(/^Nothing was removed; 3 recovery points of 2 VMs stand[.]\n/);
    expect(report).toContain('no cache to remember them in');
  });
});

describe('the report of a prune', () => {
  it('never frees less than nothing, and names what the store kept and what is damaged', () => {
    const text = pruneReportText({ ...REPORT, refusedRemovals: 2, damagedPacks: ['d/1'] }, time);

    expect(text).toMatch(/^Freed 0 B: 1 pack removed/);
    expect(text).toContain('The store did not let go of 2 objects');
    expect(text).toContain('Damaged and left alone: d/1.');
    expect(text).not.toContain('nothing needs');
    expect(text).not.toContain('was full');
    expect(pruneReportText({ ...REPORT, noRoomToRewrite: true }, time)).toContain(
      'The store was full',
    );
    expect(pruneReportText({ ...REPORT, deadBytesLeft: 2048 }, time)).toContain(
      '2.00 KiB that nothing needs stay in packs that are mostly needed.',
    );
  });
});
