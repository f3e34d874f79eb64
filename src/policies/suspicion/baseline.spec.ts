import { MiB } from '../../kernel/text/bytes.ts';
import type { DiskStatistics } from '../../vault/points/recovery-point.ts';
import { judge, REFERENCE_MIN } from './baseline.ts';
import type { WeighedPoint } from './content-facts.ts';

const CONTENT = 1000 * MiB;

/** A point of a VM with 1,000 MiB of content. Amounts in MiB. */
function point(
  id: number,
  over: { replaced?: number; storedAt?: number; elsewhere?: number; cleared?: number } = {},
  disk: Partial<WeighedPoint['disks'][number]> = {},
): WeighedPoint {
  const { replaced = 10, storedAt = 0.5, elsewhere = 5, cleared = 0 } = over;
  const statistics: DiskStatistics = {
    readBytes: (replaced + elsewhere) * 1.2 * MiB,
    newBytes: (replaced + elsewhere) * MiB,
    storedBytes: (replaced + elsewhere) * storedAt * MiB,
    replacingBytes: replaced * MiB,
    replacingStoredBytes: replaced * storedAt * MiB,
    clearedBytes: cleared * MiB,
    contentBytes: CONTENT,
  };
  const whole = { diskId: 'd', name: 'system', sizeBytes: 2 * CONTENT, method: 'changed-extents' };
  return {
    id: `P${String(id).padStart(3, '0')}`,
    disks: [{ ...whole, statistics, ...disk } as WeighedPoint['disks'][number]],
  };
}

function usual(count = 20, over: Parameters<typeof point>[1] = {}): WeighedPoint[] {
  return Array.from({ length: count }, (_, index) =>
    point(index, { replaced: 8 + (index % 5), storedAt: 0.45 + (index % 3) / 50, ...over }),
  );
}

const kinds = (points: readonly WeighedPoint[], answered?: string) =>
  judge(points, answered)?.signals.map(({ kind }) => kind);

describe('suspicion', () => {
  it('is had of content that is new, does not compress and replaces other content', () => {
    const points = [...usual(), point(20, { replaced: 150, storedAt: 1 })];

    expect(judge(points)).toEqual({
      sinceId: 'P020',
      lastCleanId: 'P019',
      signals: [
        {
          kind: 'replaced',
          value: expect.any(Number) as number,
          usual: expect.any(Number) as number,
          text: expect.stringMatching(/^1\d\d MiB of its content \(1[45] %\) became/) as string,
        },
        expect.objectContaining({ kind: 'incompressible', value: 1 }),
        expect.objectContaining({ kind: 'new', value: expect.closeTo(0.83, 2) as number }),
      ],
    });
  });

  it.each([
    ['an import of films', { replaced: 10, elsewhere: 600, storedAt: 1 }],
    ['a database that is written anew', { replaced: 500, storedAt: 0.45 }],
    ['an upgrade', { replaced: 120, elsewhere: 60, storedAt: 0.6 }],
    ['what is removed', { replaced: 5, cleared: 800 }],
    ['little that is encrypted', { replaced: 40, storedAt: 1 }],
    ['nothing', { replaced: 0, elsewhere: 0 }],
  ])('is not had of %s', (_, over) => {
    expect(judge([...usual(), point(20, over)])).toBeUndefined();
  });

  it('is had of copies whose originals are removed', () => {
    const over = { replaced: 5, elsewhere: 200, cleared: 195, storedAt: 1 };
    expect(kinds([...usual(), point(20, over)])).toContain('replaced');
    expect(judge([...usual(), point(20, { ...over, cleared: 20 })])).toBeUndefined();
  });

  it('adds up what happens in a few points, and names the one before the first', () => {
    const slow = [20, 21, 22].map((id) => point(id, { replaced: 35, storedAt: 0.98 }));

    expect(judge([...usual(), ...slow.slice(0, 1)])).toBeUndefined();
    expect(judge([...usual(), ...slow])).toMatchObject({ sinceId: 'P020', lastCleanId: 'P019' });
    expect(judge([...usual(), ...slow, point(23)])).toBeUndefined();
  });

  it('takes what happened twice for usual, and what a person has answered', () => {
    const dump = { replaced: 150, storedAt: 1 };
    const twice = [...usual(20), point(20, dump), point(21, dump), ...usual(10)];
    const again = [...twice.map(({ disks }, id) => ({ ...point(id), disks })), point(40, dump)];

    expect(judge(again)).toBeUndefined();
    const once = [...usual(), point(20, dump)];
    expect(judge(once)).toBeDefined();
    expect(judge([...once, point(21)], 'P020')).toBeUndefined();
    expect(judge([...once, point(21, dump)], 'P020')).toBeDefined();
  });

  it('needs a history, and points that say what they replaced', () => {
    const attack = { replaced: 300, storedAt: 1 };
    const first = point(0, {}, { method: 'full', reason: 'first-backup' });
    const after = (count: number) =>
      judge([first, ...usual(count + 1).slice(1), point(count + 1, attack)]);
    expect(after(REFERENCE_MIN - 1)).toBeUndefined();
    expect(after(REFERENCE_MIN)).toBeDefined();

    const { readBytes, newBytes, storedBytes } = { readBytes: 9, newBytes: 9, storedBytes: 9 };
    const old = { statistics: { readBytes, newBytes, storedBytes } };
    const silent = usual().map((one) => ({
      ...one,
      disks: one.disks.map((disk) => ({ ...disk, ...old })),
    }));
    expect(judge([...silent, point(20, attack)])).toBeUndefined();
    expect(judge([...usual(), point(20, attack, old)])).toBeUndefined();
  });

  it('asks for more where a disk was read whole, has another size, or is new', () => {
    const attack = { replaced: 100, storedAt: 1 };
    expect(judge([...usual(), point(20, attack)])).toBeDefined();
    expect(judge([...usual(), point(20, attack, { method: 'full' })])).toBeUndefined();
    expect(judge([...usual(), point(20, attack, { sizeBytes: 3 * CONTENT })])).toBeUndefined();
    const more = { replaced: 200, storedAt: 1 };
    expect(judge([...usual(), point(20, more, { method: 'full' })])).toBeDefined();
    expect(judge([...usual(), point(20, more, { diskId: 'new' })])).toBeUndefined();
  });

  it('says nothing of a VM whose content never compresses', () => {
    const points = [...usual(20, { storedAt: 1 }), point(20, { replaced: 400, storedAt: 1 })];
    expect(judge(points)).toBeUndefined();
  });
});
