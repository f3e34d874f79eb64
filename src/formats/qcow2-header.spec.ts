import fc from 'fast-check';
import { isFault, type FaultCode } from '../kernel/fault.ts';
import { readQcow2Header } from './qcow2-header.ts';

const GiB = 1024 ** 3;

interface HeaderParts {
  readonly version?: number;
  readonly clusterBits?: number;
  readonly size?: bigint;
  readonly tables?: number;
  readonly encryption?: number;
  readonly features?: bigint;
  readonly headerBytes?: number;
  readonly backing?: string;
  readonly backingOffset?: bigint;
  readonly extensions?: readonly (readonly [type: number, content: string])[];
}

/** The first cluster of a qcow2 image, as docs/interop/qcow2.txt lays it out. */
const PLAIN = {
  version: 3,
  clusterBits: 16,
  size: BigInt(GiB),
  tables: 2,
  encryption: 0,
  features: 0n,
  extensions: [],
};

function header(parts: HeaderParts): Buffer {
  const all = { ...PLAIN, ...parts };
  const headerBytes = all.headerBytes ?? (all.version === 2 ? 72 : 104);
  const bytes = Buffer.alloc(64 * 1024);
  bytes.writeUInt32BE(0x514649fb, 0);
  bytes.writeUInt32BE(all.version, 4);
  bytes.writeUInt32BE(all.clusterBits, 20);
  bytes.writeBigUInt64BE(all.size, 24);
  bytes.writeUInt32BE(all.encryption, 32);
  bytes.writeUInt32BE(all.tables, 36);
  if (all.version !== 2) {
    bytes.writeBigUInt64BE(all.features, 72);
    bytes.writeUInt32BE(headerBytes, 100);
  }
  let at = Math.min(headerBytes, 4096);
  for (const [type, content] of all.extensions) {
    bytes.writeUInt32BE(type, at);
    bytes.writeUInt32BE(content.length, at + 4);
    bytes.write(content, at + 8);
    at += 8 + Math.ceil(content.length / 8) * 8;
  }
  if (all.backing !== undefined) {
    bytes.writeBigUInt64BE(all.backingOffset ?? BigInt(at + 8), 8);
    bytes.writeUInt32BE(all.backing.length, 16);
    bytes.write(all.backing, at + 8);
  }
  return bytes;
}

function refusal(parts: HeaderParts): FaultCode | undefined {
  try {
    readQcow2Header(header(parts), '/x.qcow2');
    return undefined;
  } catch (error) {
    return isFault(error) ? error.code : undefined;
  }
}

describe('readQcow2Header', () => {
  it('reads a plain image', () => {
    expect(readQcow2Header(header({}), '/x')).toEqual({
      version: 3,
      virtualSize: GiB,
      clusterSize: 65536,
      extendedL2: false,
      isDirty: false,
      snapshotCount: 0,
    });
  });

  it('reads an old image, whose extensions start earlier', () => {
    const old = header({ version: 2, extensions: [[0xe2792aca, 'raw']], backing: '/base.raw' });

    expect(readQcow2Header(old, '/x')).toMatchObject({
      version: 2,
      backingFile: '/base.raw',
      backingFormat: 'raw',
    });
  });

  it('reads an overlay with subclusters that was not closed', () => {
    const overlay = header({
      features: 0b10001n,
      clusterBits: 17,
      backing: 'base.qcow2',
      extensions: [
        [0x6803f857, 'some names'],
        [0xe2792aca, 'qcow2'],
      ],
    });

    expect(readQcow2Header(overlay, '/x')).toMatchObject({
      clusterSize: 131072,
      extendedL2: true,
      isDirty: true,
      backingFile: 'base.qcow2',
      backingFormat: 'qcow2',
    });
  });

  it.each<[string, HeaderParts, FaultCode]>([
    ['a version to come', { version: 4 }, 'formats.image-unsupported'],
    ['AES', { encryption: 1 }, 'formats.image-unsupported'],
    ['LUKS', { encryption: 2 }, 'formats.image-unsupported'],
    ['an unknown feature', { features: 1n << 40n }, 'formats.image-unsupported'],
    ['the corrupt mark', { features: 2n }, 'formats.image-invalid'],
    ['a data file', { features: 4n }, 'formats.outside-reference'],
    [
      'a name of a data file',
      { extensions: [[0x44415441, '/etc/shadow']] },
      'formats.outside-reference',
    ],
    ['a JSON backing file', { backing: 'json:{"driver":"nbd"}' }, 'formats.outside-reference'],
    ['an NBD backing file', { backing: 'nbd://host/x' }, 'formats.outside-reference'],
    ['a backing name with a NUL', { backing: '/a\0b' }, 'formats.outside-reference'],
    [
      'a backing name elsewhere',
      { backing: 'x', backingOffset: 1n << 40n },
      'formats.image-invalid',
    ],
    ['a huge disk', { size: 1n << 60n }, 'formats.image-invalid'],
    ['tables too small', { size: 1n << 40n, tables: 1 }, 'formats.image-invalid'],
    ['tiny clusters', { clusterBits: 3 }, 'formats.image-invalid'],
    ['clusters of 4 GiB', { clusterBits: 32 }, 'formats.image-invalid'],
    ['a header of 4 GiB', { headerBytes: 0xffff_ffff }, 'formats.image-invalid'],
    ['a header of nothing', { headerBytes: 8 }, 'formats.image-invalid'],
  ])('refuses %s', (_what, parts, code) => {
    expect(refusal(parts)).toBe(code);
  });

  it('refuses an extension without end', () => {
    const bytes = header({ extensions: [[0x12345678, 'x']] });
    bytes.writeUInt32BE(0xffff_fff0, 108);

    expect(() => readQcow2Header(bytes, '/x')).toThrow(/extension/);
  });

  it('never fails in another way, whatever the bytes', () => {
    const anyHeader = fc
      .tuple(
        fc.uint8Array({ maxLength: 300 }),
        fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 20 }),
      )
      .map(([tail, changes]) => {
        const bytes = Buffer.concat([header({ backing: 'b' }).subarray(0, 120), tail]);
        for (const [at, value] of changes) {
          if (at < bytes.length) {
            bytes[at] = value;
          }
        }
        return bytes;
      });

    fc.assert(
      fc.property(anyHeader, (bytes) => {
        try {
          const { virtualSize } = readQcow2Header(bytes, '/x');
          expect(virtualSize).toBeLessThanOrEqual(256 * 1024 ** 4);
        } catch (error) {
          expect(isFault(error)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
