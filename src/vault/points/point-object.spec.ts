import { crc32 } from 'node:zlib';
import { faultCode } from '../../../test/support/service/fault-code.ts';
import { KeyTree } from '../keys/key-tree.ts';
import { seal } from '../bytes/aead.ts';
import { pointKey } from '../format/object-names.ts';
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

const FULL: PointDocument['origin'] = {
  kind: 'policy',
  service: 's'.repeat(256),
  policy: 'p',
  revision: 3,
  run: 'r',
  fireAtMs: 7,
  attempt: 1,
  group: 'g',
  actor: 'a',
};

/** Encodes a point as a writer does that checks nothing. */
function unchecked(document: object): Buffer {
  const additional = encodePoint(keys, POINT).subarray(0, 64);
  const key = keys.object('point', pointKey(POINT.vmId, POINT.id));
  const json = Buffer.from(JSON.stringify(document));
  return Buffer.concat([additional, seal({ key, index: 0, additional }, json)]);
}

describe('the origin of a recovery point', () => {
  it('is read as it was written, and is not needed', () => {
    const origin = { ...POINT, origin: FULL };

    expect(decodePoint(keys, POINT, encodePoint(keys, origin))).toEqual(origin);
    expect(decodePoint(keys, POINT, encodePoint(keys, POINT))).toEqual(POINT);
  });

  const wrong: [string, unknown][] = [
    ['a text beyond the limit', { ...FULL, run: 'r'.repeat(257) }],
    ['a text of megabytes', { ...FULL, actor: 'a'.repeat(2 ** 21) }],
    ['another form', ['policy']],
    ['a number where a text belongs', { kind: 'policy', policy: 7 }],
    ['no kind of number', { kind: 'policy', attempt: 0.5 }],
    ['an attempt before the first', { kind: 'policy', attempt: 0 }],
  ];

  it.each(wrong)('with %s is not written, and does not count where it was', (_, origin) => {
    const point = { ...POINT, origin } as PointDocument;

    expect(faultCode(() => encodePoint(keys, point))).toBe('request.invalid');
    expect(decodePoint(keys, POINT, unchecked(point))).toEqual(POINT);
  });

  it('of a kind that this program does not know counts as by hand', () => {
    const origin = { kind: 'miracle', policy: 'p', moon: 'full' };

    expect(decodePoint(keys, POINT, unchecked({ ...POINT, origin })).origin).toEqual({
      kind: 'hand',
      policy: 'p',
    });
  });
});

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
