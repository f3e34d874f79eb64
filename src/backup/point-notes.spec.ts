import type { FrozenDisk } from '../engines/engine.ts';
import type { RecoveryPoint } from '../vault/points/recovery-point.ts';
import type { VmDefinition } from '../vm/definition.ts';
import type { DiskChanges } from './disk-changes.ts';
import { missedChangesNote, pointNotes } from './point-notes.ts';

const GiB = 1024 ** 3;

function frozen(change: object = {}) {
  return {
    consistency: 'filesystem' as const,
    warnings: [],
    takenAtMs: 1000,
    definition: { disks: [{ name: 'system', excluded: false }] } as unknown as VmDefinition,
    ...change,
  };
}

const disk = (
  sizeBytes: number,
  changes: DiskChanges['changes'] = { method: 'changed-extents', extents: [] },
): DiskChanges => ({
  disk: { diskId: 'd', name: 'system', sizeBytes } as unknown as FrozenDisk,
  changes,
  readBytesMax: 0,
});

const PARENT = {
  takenAtMs: 500,
  disks: [{ diskId: 'd', sizeBytes: GiB }],
} as unknown as RecoveryPoint;

describe('pointNotes', () => {
  it('says nothing when all is well', () => {
    expect(pointNotes(frozen(), PARENT, [disk(GiB)])).toEqual([]);
    expect(
      pointNotes(frozen(), undefined, [disk(GiB, { method: 'full', reason: 'first-backup' })]),
    ).toEqual([]);
  });

  it('says why a point is only crash-consistent', () => {
    const notes = pointNotes(
      frozen({ consistency: 'crash', consistencyReason: 'the guest agent does not answer' }),
      PARENT,
      [disk(GiB)],
    );

    expect(notes).toEqual(['Crash-consistent: the guest agent does not answer.']);
  });

  it.each([
    ['a grown disk', frozen(), disk(2 * GiB), 'Disk system went from 1.00 GiB to 2.00 GiB.'],
    [
      'a disk that was read whole',
      frozen(),
      disk(GiB, { method: 'full', reason: 'change-log-gap' }),
      'Disk system was read whole: its change log has a gap since the point before.',
    ],
    [
      'a clock that was set back',
      frozen({ takenAtMs: 1 }),
      disk(GiB),
      'The clock of the host was set back since the point before.',
    ],
    [
      'an excluded disk',
      frozen({ definition: { disks: [{ name: 'scratch', excluded: true }] } }),
      disk(GiB),
      'Disk scratch is excluded from recovery points.',
    ],
    ['a warning of the engine', frozen({ warnings: ['Odd.'] }), disk(GiB), 'Odd.'],
  ])('tells of %s', (_, taken, changes, note) => {
    expect(pointNotes(taken, PARENT, [changes])).toEqual([note]);
  });

  it('tells of a disk that the point before does not have', () => {
    const parent = { ...PARENT, disks: [] };

    const notes = pointNotes(frozen(), parent, [
      disk(GiB, { method: 'full', reason: 'first-backup' }),
    ]);

    expect(notes).toEqual(['Disk system is new since the point before.']);
  });
});

describe('missedChangesNote', () => {
  const named = (count: number): string => {
    const whole = { id: 'whole', disks: [{ diskId: 'd', method: 'full' }] };
    const later = Array.from({ length: count }, (_, index) => ({
      id: `point-${index + 1}`,
      disks: [{ diskId: 'd', method: 'changed-extents' }],
    }));
    const earlier = [whole, ...later] as unknown as RecoveryPoint[];
    return missedChangesNote({ diskId: 'd', name: 'system' }, earlier);
  };

  it('names the points since the disk was last read whole', () => {
    expect(named(0)).toMatch(/No earlier point in this vault relied on it\.$/);
    expect(named(2)).toMatch(/These points may lack changes of the disk: point-1, point-2\.$/);
  });

  it('names the first and the last of many, and how many they are', () => {
    expect(named(2000)).toMatch(/All 2000 points from point-1 to point-2000 may lack changes/);
    expect(named(2000).length).toBeLessThan(300);
  });
});
