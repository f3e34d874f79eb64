import { crc32 } from 'node:zlib';
import { z } from 'zod';
import type { FullReadReason } from '../../disk/change-set.ts';
import { Fault } from '../../kernel/fault.ts';
import { seal, unseal } from '../bytes/aead.ts';
import { ByteReader, ByteWriter, parseJson, parseOr, demand } from '../bytes/binary.ts';
import { FORMAT_VERSION, refuseOtherVersion } from '../format/format-version.ts';
import { Features, NO_FEATURES, refuseUnknownFeatures } from '../control/format-object.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import { isVmId, pointKey } from '../format/object-names.ts';
import { PointOrigin } from '../format/point-origin.ts';
import {
  DEPTH_MAX,
  FILE_SLOTS_MAX,
  GENERATION_MAX,
  NAME_CHARACTERS_MAX,
  NOTE_CHARACTERS_MAX,
  NOTES_MAX,
  POINT_DISKS_MAX,
  POINT_FILES_MAX,
  POINT_JSON_BYTES_MAX,
  POINT_OBJECT_BYTES_MAX,
  SLOTS_MAX,
} from '../format/limits.ts';
import { isUlid } from '../bytes/ulid.ts';
import { schemaProblems } from '../../kernel/text/schema-problems.ts';

/** Recovery points as objects: docs/vault-format.md, section 8. */

const MAGIC = Buffer.from('HKPOIN00');
const HEADER_BYTES = 64;

const REASONS: readonly FullReadReason[] = [
  'first-backup',
  'tracking-unavailable',
  'tracking-replaced',
  'change-log-gap',
  'tracking-wrong',
  'parent-damaged',
  'parent-unreadable',
  'imported-image',
  'requested',
];
const hex16 = z.string().regex(/^[0-9a-f]{32}$/);
const ulid = z.string().refine(isUlid);
const size = z.int().min(0);
const countOrNothing = size.optional().catch(undefined);
const shortText = z.string().max(NAME_CHARACTERS_MAX);
const pack = z.object({ ulid, generation: z.int().min(0).max(GENERATION_MAX), rand: hex16 });
const slot = z
  .int()
  .min(0)
  .max(SLOTS_MAX - 1);
const PointerDocument = z.object({ pack, slot, mac: hex16 });
export type PointerDocument = z.infer<typeof PointerDocument>;

export const PointDocument = z.object({
  id: ulid,
  vmId: z.string().refine(isVmId),
  vmName: shortText,
  takenAtMs: z.number(),
  parent: z.object({ id: ulid, mac: hex16 }).optional(),
  // A later program may add words. This one takes an unknown word for the weakest it knows.
  consistency: z.enum(['filesystem', 'crash', 'powered-off', 'imported']).catch('crash'),
  notes: z.array(z.string().max(NOTE_CHARACTERS_MAX)).max(NOTES_MAX),
  configuration: z.unknown(),
  disks: z
    .array(
      z.object({
        diskId: shortText,
        name: shortText,
        sizeBytes: size,
        method: z.enum(['changed-extents', 'full']).catch('full'),
        reason: z.enum(REASONS).optional().catch(undefined),
        tracking: z.object({ id: shortText, generation: size }).optional(),
        statistics: z.object({
          readBytes: size,
          newBytes: size,
          storedBytes: size,
          // Missing in points of earlier programs. A wrong one makes no point unreadable.
          replacingBytes: countOrNothing,
          replacingStoredBytes: countOrNothing,
          clearedBytes: countOrNothing,
          contentBytes: countOrNothing,
        }),
        depth: z.int().min(0).max(DEPTH_MAX),
        root: PointerDocument.optional(),
      }),
    )
    .max(POINT_DISKS_MAX),
  files: z
    .array(
      z.object({
        name: shortText,
        sizeBytes: size,
        slots: z.array(PointerDocument.extend({ bytes: z.int().min(1) })).max(FILE_SLOTS_MAX),
      }),
    )
    .max(POINT_FILES_MAX),
  // Earlier readers ignore it, so a wrong one makes no point unreadable.
  origin: PointOrigin.optional().catch(undefined),
});
export type PointDocument = z.infer<typeof PointDocument>;
const WrittenPoint = PointDocument.extend({ origin: PointOrigin.optional() });

function header(keys: KeyTree): Buffer {
  const { incompatible, readOnly, compatible, noCollect } = NO_FEATURES;
  const writer = new ByteWriter(HEADER_BYTES)
    .bytes(MAGIC)
    .u16(FORMAT_VERSION)
    .u16(0)
    .u16(keys.version)
    .u16(0)
    .bytes(keys.vaultId)
    .u32(incompatible)
    .u32(readOnly)
    .u32(compatible)
    .u32(noCollect)
    .bytes(Buffer.alloc(12));
  return writer.u32(crc32(writer.finish())).finish();
}

/** @throws Fault `request.invalid` if nobody could read the point */
export function encodePoint(keys: KeyTree, document: PointDocument): Buffer {
  const parsed = WrittenPoint.safeParse(document);
  if (!parsed.success) {
    throw new Fault(
      'request.invalid',
      `There can be no such recovery point: ${schemaProblems(parsed.error, 'point', 1)}. Nothing was written.`,
    );
  }
  const key = pointKey(document.vmId, document.id);
  const additional = header(keys);
  const json = Buffer.from(JSON.stringify(document));
  if (json.length > POINT_JSON_BYTES_MAX) {
    throw new Fault(
      'request.invalid',
      `The VM's configuration is too large for a recovery point: ${json.length} bytes, at most ${POINT_JSON_BYTES_MAX}.`,
    );
  }
  return Buffer.concat([
    additional,
    seal({ key: keys.object('point', key), index: 0, additional }, json),
  ]);
}

/** @throws Fault `vault.point-corrupt`, `vault.format-newer` */
export function decodePoint(
  keys: KeyTree,
  at: { readonly vmId: string; readonly id: string },
  object: Uint8Array,
): PointDocument {
  const key = pointKey(at.vmId, at.id);
  return parseOr(
    (why, cause) => damagedPoint(key, why, cause),
    () => {
      const keyVersion = checkHeader(keys, key, object);
      demand(object.length <= POINT_OBJECT_BYTES_MAX, 'it is too large');
      const additional = object.subarray(0, HEADER_BYTES);
      const place = { key: keys.object('point', key, keyVersion), index: 0, additional };
      const json = unseal(place, object.subarray(HEADER_BYTES));
      demand(json !== undefined, 'it is not what was written');
      const parsed = PointDocument.safeParse(parseJson(json));
      demand(parsed.success, 'it has fields this program does not know');
      demand(parsed.data.id === at.id && parsed.data.vmId === at.vmId, 'it has another name');
      return parsed.data;
    },
  );
}

/** @returns the version of the key that it is encrypted with */
function checkHeader(keys: KeyTree, key: string, object: Uint8Array): number {
  const reader = new ByteReader(object);
  demand(reader.bytes(8).equals(MAGIC), 'it is no recovery point');
  demand(object.length > HEADER_BYTES, 'it is cut short');
  const checksum = new ByteReader(object.subarray(HEADER_BYTES - 4)).u32();
  demand(checksum === crc32(object.subarray(0, HEADER_BYTES - 4)), 'its header is damaged');
  refuseOtherVersion(reader.u16(), key);
  reader.u16();
  const keyVersion = reader.u16();
  reader.u16();
  demand(keys.has(keyVersion), 'it names a key that this vault does not have');
  demand(reader.bytes(16).equals(keys.vaultId), 'it belongs to another vault');
  const features = {
    incompatible: reader.u32(),
    readOnly: reader.u32(),
    compatible: reader.u32(),
    noCollect: reader.u32(),
  };
  refuseUnknownFeatures(Features.parse(features), key);
  return keyVersion;
}

export function damagedPoint(key: string, why: string, cause?: unknown): Fault {
  return new Fault(
    'vault.point-corrupt',
    `The recovery point ${key} is damaged: ${why}. Other points are not affected; restore one of them.`,
    { key },
    { cause },
  );
}
