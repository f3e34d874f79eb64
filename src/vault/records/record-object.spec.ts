import { isFault } from '../../kernel/fault.ts';
import { seal } from '../bytes/aead.ts';
import { newUlid } from '../bytes/ulid.ts';
import { RECORD_OBJECT_BYTES_MAX, recordKey } from '../format/record-names.ts';
import { KeyTree } from '../keys/key-tree.ts';
import { decodeRecord, encodeRecord, type ServiceRecord } from './record-object.ts';

const keys = new KeyTree(Buffer.alloc(32, 1), Buffer.alloc(16, 2));
const other = new KeyTree(Buffer.alloc(32, 3), Buffer.alloc(16, 2));
const key = recordKey('host-a', 7);
const record: ServiceRecord = {
  kind: 'reading',
  service: 'host-a',
  sequence: 7,
  atMs: 1000,
  lease: newUlid(5),
  reader: 'restore on a',
  untilMs: 2000,
  points: [{ vm: 'vm', point: newUlid(1) }],
};

function decoded(object: Uint8Array, at = key): ServiceRecord {
  return decodeRecord(keys, at, object);
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
}

/** What somebody with the key can put there. */
function genuine(body: object, spoil?: (header: Buffer) => void): Buffer {
  const additional = Buffer.from(encodeRecord(keys, key, record).subarray(0, 32));
  spoil?.(additional);
  const by = { key: keys.object('catalog', key), index: 0, additional };
  return Buffer.concat([additional, seal(by, Buffer.from(JSON.stringify(body)))]);
}

describe('a record of a service', () => {
  it('is read as it was written', () => {
    expect(decoded(encodeRecord(keys, key, record))).toEqual(record);
  });

  it('does not open under another name, with another key, or with any byte changed', () => {
    const object = encodeRecord(keys, key, record);
    expect(codeOf(() => decoded(object, recordKey('host-a', 7)))).toBe('vault.record-unreadable');
    expect(codeOf(() => decodeRecord(other, key, object))).toBe('vault.record-unreadable');
    for (let at = 0; at < object.length; at++) {
      const changed = Buffer.from(object);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(codeOf(() => decoded(changed))).toBe('vault.record-unreadable');
    }
  });

  it.each([
    ['of another service', { ...record, service: 'host-b' }],
    ['with another sequence than its name', { ...record, sequence: 8 }],
    ['with more points than may be', { ...record, points: Array(16_385).fill(record.points[0]) }],
    ['with a point that is no ULID', { ...record, points: [{ vm: 'vm', point: 'x' }] }],
    ['with a VM that leads out of its prefix', { ...record, points: [{ vm: '../x', point: 'x' }] }],
    ['with a time below zero', { ...record, untilMs: -1 }],
    ['with a reader as long as a book', { ...record, reader: 'x'.repeat(257) }],
  ])('is ignored by its readers %s', (_, body) => {
    expect(codeOf(() => decoded(genuine(body)))).toBe('vault.record-unreadable');
  });

  it.each([
    ['version', 8],
    ['kind', 10],
    ['key version', 12],
    ['vault', 16],
  ])('is ignored with an unknown %s, although a key holder wrote it', (_, offset) => {
    const object = genuine(record, (header) => {
      header[offset] = 99;
    });
    expect(codeOf(() => decoded(object))).toBe('vault.record-unreadable');
  });

  it('has a size beyond which nobody reads it, and nobody writes it', () => {
    const text = 'x'.repeat(256);
    const decision = { vm: 'v'.repeat(64), point: newUlid(1), reason: text, decidedAtMs: 1 };
    const decisions = Array.from({ length: 16_384 }, () => decision);
    const large = {
      kind: 'decisions',
      service: 'host-a',
      sequence: 7,
      atMs: 1,
      decisions,
    } as const;

    expect(codeOf(() => encodeRecord(keys, key, large))).toBe('vault.limit-reached');
    const hostile = Buffer.alloc(RECORD_OBJECT_BYTES_MAX + 1);
    expect(codeOf(() => decoded(hostile))).toBe('vault.record-unreadable');
  });
});
