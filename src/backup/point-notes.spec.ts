import type { FrozenDisk } from '../engines/engine.ts';
import type { RecoveryPoint } from '../vault/recovery-point.ts';
import type { VmDefinition } from '../vm/definition.ts';
import type { DiskChanges } from './disk-changes.ts';
import { pointNotes } from './point-notes.ts';

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
