import type { FrozenDisk } from '../engines/engine.ts';
import type { RecoveryPoint } from '../vault/points/recovery-point.ts';
import { changesSince } from './disk-changes.ts';

const TRACKING = { id: 'tracking', generation: 4 };

/** Makes a frozen disk that records what it was asked. */
function frozenDisk(diskId: string): { disk: FrozenDisk; asked: unknown[] } {
  const asked: unknown[] = [];
  const disk = {
    diskId,
    sizeBytes: 1000,
    changedSince: async (state: unknown) => {
      asked.push(state);
      return {
        method: 'changed-extents',
        extents: [
          { offset: 0, length: 10, content: 'data' },
          { offset: 10, length: 90, content: 'zero' },
        ],
      };
    },
  } as unknown as FrozenDisk;
  return { disk, asked };
}

const parentWith = (disks: object[]) => ({ disks }) as unknown as RecoveryPoint;

describe('changesSince', () => {
  it('asks for the changes since what the parent point holds of the disk', async () => {
    const { disk, asked } = frozenDisk('a');
    const parent = parentWith([
      { diskId: 'b', tracking: { id: 'x', generation: 1 } },
      { diskId: 'a', tracking: TRACKING },
    ]);

    const [result] = await changesSince(parent, [disk], false);

    expect(asked).toEqual([TRACKING]);
    expect(result).toMatchObject({ changes: { method: 'changed-extents' }, readBytesMax: 10 });
  });

  it.each([
    ['there is no parent', undefined, false, 'first-backup'],
    [
      'the parent lacks the disk',
      parentWith([{ diskId: 'b', tracking: TRACKING }]),
      false,
      'first-backup',
    ],
    [
      'the parent does not know its tracking',
      parentWith([{ diskId: 'a' }]),
      false,
      'tracking-unavailable',
    ],
    ['it was asked for', parentWith([{ diskId: 'a', tracking: TRACKING }]), true, 'requested'],
  ])('reads the whole disk when %s', async (_, parent, full, reason) => {
    const { disk, asked } = frozenDisk('a');

    const [result] = await changesSince(parent, [disk], full);

    expect(result).toMatchObject({ changes: { method: 'full', reason }, readBytesMax: 1000 });
    expect(asked).toEqual([]);
  });
});
