import { crc32 } from 'node:zlib';
import { faultCode } from '../../../test/support/service/fault-code.ts';
import { KeyTree } from '../keys/key-tree.ts';
import { decodePoint, encodePoint, type PointDocument } from './point-object.ts';
import { newUlid } from '../bytes/ulid.ts';

const keys = new KeyTree(Buffer.alloc(32, 1), Buffer.alloc(16, 2));
const DISK: PointDocument['disks'][number] = {
  diskId: 'disk',
  name: 'disk',
  sizeBytes: 4096,
  method: 'changed-extents',
  statistics: { readBytes: 0, newBytes: 0, storedBytes: 0 },
  depth: 0,
};
const POINT: PointDocument = {
  id: newUlid(1),
  vmId: 'vm',
  vmName: 'vm',
  takenAtMs: 1,
  consistency: 'filesystem',
  notes: [],
  configuration: {},
  disks: [DISK],
  files: [],
};

describe('a recovery point of a later program', () => {
  it('is read with words that this one does not know, as the least they can mean', () => {
    const disk = { ...DISK, method: 'divined', reason: 'mercury-retrograde', colour: 'red' };
    const later = { ...POINT, consistency: 'perfect', disks: [disk] };

    const read = decodePoint(keys, POINT, encodePoint(keys, later as unknown as PointDocument));

    expect(read).toEqual({
      ...POINT,
      consistency: 'crash',
      disks: [{ ...DISK, method: 'full', reason: undefined }],
    });
  });

  it('is refused when it uses an incompatible feature', () => {
    const object = encodePoint(keys, POINT);
    const header = Buffer.from(object.subarray(0, 64));
    header[32] = 1;

    // Without its checksum the header is damaged.
    expect(
      faultCode(() => decodePoint(keys, POINT, Buffer.concat([header, object.subarray(64)]))),
    ).toBe('vault.point-corrupt');
    header.writeUInt32LE(crc32(header.subarray(0, 60)), 60);
    expect(
      faultCode(() => decodePoint(keys, POINT, Buffer.concat([header, object.subarray(64)]))),
    ).toBe('vault.format-newer');
  });
});
