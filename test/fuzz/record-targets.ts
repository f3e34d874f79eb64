import { seal } from '../../src/vault/bytes/aead.ts';
import { Malformed } from '../../src/vault/bytes/binary.ts';
import { newUlid } from '../../src/vault/bytes/ulid.ts';
import { parseRecordKey, recordKey } from '../../src/vault/format/record-names.ts';
import { KeyTree } from '../../src/vault/keys/key-tree.ts';
import { decodeRecord, encodeRecord } from '../../src/vault/records/record-object.ts';
import { spoiled, spoiledJson } from './mutation.ts';
import type { FuzzTarget } from './target.ts';

/** What services write for each other: docs/service-records.md. */
export function recordTargets(): FuzzTarget[] {
  const keys = new KeyTree(Buffer.alloc(32, 1), Buffer.alloc(16, 2));
  const key = recordKey('host', 1);
  const head = { service: 'host', sequence: 1, atMs: 1 };
  const name = { vm: 'vm', point: newUlid(1) };
  const decision = { ...name, reason: 'why', policy: 'gold', revision: 1, decidedAtMs: 1 };
  const bodies = {
    decisions: { ...head, decisions: [decision] },
    reading: { ...head, lease: newUlid(2), reader: 'me', untilMs: 9, points: [name] },
  };
  const objects = [
    encodeRecord(keys, key, { kind: 'decisions', ...bodies.decisions }),
    encodeRecord(keys, key, { kind: 'reading', ...bodies.reading }),
  ];
  return [
    {
      name: 'record of a service',
      inputs: spoiled(objects),
      parse: (b) => decodeRecord(keys, key, b),
    },
    ...Object.values(bodies).map((body, index) => ({
      name: `record of a service, kind ${String(index + 1)}, genuine with other content`,
      inputs: spoiledJson(body).map((json) => {
        const additional = objects[index]?.subarray(0, 32) ?? Buffer.alloc(0);
        const by = { key: keys.object('catalog', key), index: 0, additional };
        return Buffer.concat([additional, seal(by, json)]);
      }),
      parse: (b: Uint8Array) => decodeRecord(keys, key, b),
    })),
    {
      name: 'name of a record',
      inputs: spoiled([Buffer.from(key)]),
      parse: (b) => {
        if (parseRecordKey(Buffer.from(b).toString('latin1')) === undefined) {
          throw new Malformed('no name of a record');
        }
      },
    },
  ];
}
