import { z } from 'zod';
import { Fault } from '../../kernel/fault.ts';
import { schemaProblems } from '../../kernel/text/schema-problems.ts';
import { seal, unseal } from '../bytes/aead.ts';
import { ByteReader, ByteWriter, demand, parseJson, parseOr } from '../bytes/binary.ts';
import { isUlid } from '../bytes/ulid.ts';
import { isVmId } from '../format/object-names.ts';
import {
  parseRecordKey,
  RECORD_JSON_BYTES_MAX,
  RECORD_OBJECT_BYTES_MAX,
  RECORD_POINTS_MAX,
  RECORD_TEXT_CHARACTERS_MAX,
} from '../format/record-names.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import type { ObjectKey } from '../store/object-store.ts';

/** What services write into a vault for each other: docs/service-records.md. */

const MAGIC = Buffer.from('HKSREC00');
const VERSION = 1;
const HEADER_BYTES = 32;
const KINDS = { decisions: 1, reading: 2, destruction: 3 } as const;
export type RecordKind = keyof typeof KINDS;

const time = z.int().min(0);
const text = z.string().max(RECORD_TEXT_CHARACTERS_MAX);
const point = z.object({ vm: z.string().refine(isVmId), point: z.string().refine(isUlid) });

/** A point that a service has decided to give up. */
const Decision = point.extend({
  reason: text,
  policy: text.optional(),
  revision: z.int().min(0).optional(),
  decidedAtMs: time,
});
export type Decision = z.infer<typeof Decision>;

const head = { service: z.string(), sequence: z.int().min(0), atMs: time };
const BODIES = {
  decisions: z.object({ ...head, decisions: z.array(Decision).max(RECORD_POINTS_MAX) }),
  reading: z.object({
    ...head,
    /** The same in all renewals of a lease. */
    lease: z.string().refine(isUlid),
    reader: text,
    untilMs: time,
    points: z.array(point).max(RECORD_POINTS_MAX),
  }),
  destruction: z.object({ ...head, by: text }),
};
export type RecordBody<Kind extends RecordKind> = z.infer<(typeof BODIES)[Kind]>;
export type ServiceRecord =
  | (RecordBody<'decisions'> & { readonly kind: 'decisions' })
  | (RecordBody<'reading'> & { readonly kind: 'reading' })
  | (RecordBody<'destruction'> & { readonly kind: 'destruction' });

function header(keys: KeyTree, kind: RecordKind): Buffer {
  return new ByteWriter(HEADER_BYTES)
    .bytes(MAGIC)
    .u16(VERSION)
    .u8(KINDS[kind])
    .u8(0)
    .u16(keys.version)
    .u16(0)
    .bytes(keys.vaultId)
    .finish();
}

/** @throws Fault `request.invalid` if nobody could read the record */
export function encodeRecord(keys: KeyTree, key: ObjectKey, record: ServiceRecord): Buffer {
  const { kind, ...body } = record;
  const parsed = BODIES[kind].safeParse(body);
  if (!parsed.success) {
    throw new Fault(
      'request.invalid',
      `There can be no such record: ${schemaProblems(parsed.error, 'record', 1)}. Nothing was written.`,
    );
  }
  const json = Buffer.from(JSON.stringify(body));
  if (json.length > RECORD_JSON_BYTES_MAX) {
    throw new Fault(
      'vault.limit-reached',
      `The record ${key} would have ${json.length} bytes, and no reader takes more than ${RECORD_JSON_BYTES_MAX}. It was not written.`,
      { key },
    );
  }
  const additional = header(keys, kind);
  const object = keys.object('catalog', key);
  return Buffer.concat([additional, seal({ key: object, index: 0, additional }, json)]);
}

/** @throws Fault `vault.record-unreadable` */
export function decodeRecord(keys: KeyTree, key: ObjectKey, object: Uint8Array): ServiceRecord {
  return parseOr(
    (why, cause) => unreadable(key, why, cause),
    () => {
      demand(object.length <= RECORD_OBJECT_BYTES_MAX, 'it is too large');
      const { kind, keyVersion } = parseHeader(keys, object);
      const additional = object.subarray(0, HEADER_BYTES);
      const by = { key: keys.object('catalog', key, keyVersion), index: 0, additional };
      const json = unseal(by, object.subarray(HEADER_BYTES));
      demand(json !== undefined, 'it is not what a key holder wrote');
      const record = parseBody(kind, parseJson(json));
      const name = parseRecordKey(key);
      demand(record.service === name?.service, 'it is of another service');
      demand(record.sequence === name.number, 'its sequence is not that of its name');
      return record;
    },
  );
}

function parseHeader(
  keys: KeyTree,
  object: Uint8Array,
): { readonly kind: RecordKind; readonly keyVersion: number } {
  const reader = new ByteReader(object);
  demand(reader.bytes(8).equals(MAGIC), 'it is no record of a service');
  demand(reader.u16() === VERSION, 'it is of a version that this program does not know');
  const number = reader.u8();
  reader.u8();
  const keyVersion = reader.u16();
  reader.u16();
  demand(reader.bytes(16).equals(keys.vaultId), 'it belongs to another vault');
  demand(keys.has(keyVersion), 'it names a key that this vault does not have');
  const kind = (Object.keys(KINDS) as RecordKind[]).find((name) => KINDS[name] === number);
  demand(kind !== undefined, 'it is of a kind that this program does not know');
  return { kind, keyVersion };
}

function parseBody(kind: RecordKind, json: unknown): ServiceRecord {
  if (kind === 'decisions') {
    const parsed = BODIES.decisions.safeParse(json);
    demand(parsed.success, 'it has another form');
    return { kind, ...parsed.data };
  }
  if (kind === 'destruction') {
    const parsed = BODIES.destruction.safeParse(json);
    demand(parsed.success, 'it has another form');
    return { kind, ...parsed.data };
  }
  const parsed = BODIES.reading.safeParse(json);
  demand(parsed.success, 'it has another form');
  return { kind, ...parsed.data };
}

function unreadable(key: ObjectKey, why: string, cause: unknown): Fault {
  return new Fault(
    'vault.record-unreadable',
    `The record ${key} was ignored: ${why}. No recovery point depends on it.`,
    { key },
    { cause },
  );
}
