import { holdsText, retiredText, retirementPlanText } from './retention-text.ts';

const time = (timeMs: number): string => `at ${String(timeMs)}`;
const POINT = { vmId: 'v', id: 'P1', vmName: 'web', takenAtMs: 7, exclusiveBytes: 2048 };

describe('what giving points up would free', () => {
  it('is said for each and for all, and what stays', () => {
    const plan = { points: [POINT], freedBytes: 1024, youngBytes: 0, keptBytes: 0 };

    expect(retirementPlanText(plan, time)).toBe(
      [
        'POINT  VM   TAKEN  ALONE NEEDS',
        'P1     web  at 7      2.00 KiB',
        'Then nothing needs about 1.00 KiB, with what was given up before:',
        '  1.00 KiB come back with the next prune',
        '',
      ].join('\n'),
    );
    const all = { ...plan, freedBytes: 3072, youngBytes: 1024, keptBytes: 512 };
    expect(retirementPlanText(all, time)).toContain(
      [
        'Then nothing needs about 3.50 KiB, with what was given up before:',
        '  2.00 KiB come back with the next prune',
        '  1.00 KiB come back with a prune when their packs are a day old (--young 0: at once)',
        '  512 B stay in packs that are mostly needed, until less of those is',
        '',
      ].join('\n'),
    );
  });
});

describe('holds and points that were given up', () => {
  it('are listed, or it is said that there are none', () => {
    const hold = { pointId: 'P1', vmId: 'v', atMs: 3, reason: 'court\u001b[31m' };

    expect(holdsText([hold], time)).toMatch(/P1 +v +at 3 +court/);
    expect(holdsText([hold], time)).not.toContain('\u001b');
    expect(holdsText([], time)).toBe('No recovery point is held.\n');
    expect(retiredText([{ pointId: 'P1', vmId: 'v' }])).toBe('P1  v\n');
    expect(retiredText([])).toBe('No recovery point waits for its removal.\n');
  });
});
