import { Fault } from '../../kernel/fault.ts';
import { ByteReader, ByteWriter, parseOr, demand } from '../bytes/binary.ts';
import { FORMAT_VERSION, refuseOtherVersion } from '../format/format-version.ts';
import { sameBytes, type KeyTree } from '../keys/key-tree.ts';
import { CONTROL_BODY_BYTES_MAX } from '../format/limits.ts';
import type { ObjectKey } from '../store/object-store.ts';

/** Control objects: docs/vault-format.md, section 5. */

const MAGIC = Buffer.from('HKCTRL00');
export const PREAMBLE_BYTES = 36;
const KEY_VERSION_OFFSET = 12;
export const CONTROL_MAC_BYTES = 32;
const KINDS = {
  format: 1,
  seal: 2,
  retire: 3,
  condemned: 4,
  done: 5,
  bad: 6,
  alias: 7,
  hold: 8,
  'hold-end': 9,
  'retire-request': 10,
  'retired-list': 11,
  probe: 12,
  kept: 13,
} as const;
export type ControlKind = keyof typeof KINDS;

function mac(keys: KeyTree, kind: ControlKind, key: ObjectKey, content: Uint8Array): Buffer {
  const name = Buffer.from(key);
  const purpose = kind === 'format' ? 'format' : 'control';
  const length = new ByteWriter(2).u16(name.length).finish();
  const version = new ByteReader(content.subarray(KEY_VERSION_OFFSET)).u16();
  return keys.mac(purpose, version, length, name, content);
}

/** @throws Fault `vault.limit-reached` */
export function encodeControl(
  keys: KeyTree,
  kind: ControlKind,
  key: ObjectKey,
  body: Uint8Array,
): Buffer {
  if (body.length > CONTROL_BODY_BYTES_MAX) {
    throw new Fault(
      'vault.limit-reached',
      `The object ${key} would have ${body.length} bytes, and no reader takes more than ${CONTROL_BODY_BYTES_MAX}. It was not written.`,
      { key },
    );
  }
  const content = new ByteWriter(PREAMBLE_BYTES + body.length + CONTROL_MAC_BYTES)
    .bytes(MAGIC)
    .u16(FORMAT_VERSION)
    .u8(KINDS[kind])
    .u8(0)
    .u16(keys.version)
    .u16(0)
    .bytes(keys.vaultId)
    .u32(body.length)
    .bytes(body);
  return content.bytes(mac(keys, kind, key, content.finish())).finish();
}

/** Returns what a control object claims before its MAC can be checked. @throws Malformed */
export function parsePreamble(object: Uint8Array): {
  version: number;
  kind: number;
  keyVersion: number;
  vaultId: Buffer;
} {
  const reader = new ByteReader(object);
  demand(reader.bytes(8).equals(MAGIC), 'it is no control object');
  const version = reader.u16();
  const kind = reader.u8();
  reader.u8();
  const keyVersion = reader.u16();
  reader.u16();
  return { version, kind, keyVersion, vaultId: reader.bytes(16) };
}

/**
 * Returns the body of a control object.
 * @throws Fault `vault.format-newer`, `vault.control-corrupt`, for the format object
 *   `vault.format-corrupt`
 */
export function decodeControl(
  keys: KeyTree,
  kind: ControlKind,
  key: ObjectKey,
  object: Uint8Array,
): Buffer {
  const code = kind === 'format' ? 'vault.format-corrupt' : 'vault.control-corrupt';
  return parseOr(
    (why, cause) => new Fault(code, `The object ${key} is damaged: ${why}.`, { key }, { cause }),
    () => {
      const preamble = parsePreamble(object);
      demand(preamble.vaultId.equals(keys.vaultId), 'it belongs to another vault');
      demand(keys.has(preamble.keyVersion), 'it names a key that this vault does not have');
      demand(object.length >= PREAMBLE_BYTES + CONTROL_MAC_BYTES, 'it is cut short');
      const end = object.length - CONTROL_MAC_BYTES;
      const expected = mac(keys, kind, key, object.subarray(0, end));
      demand(sameBytes(expected, object.subarray(end)), 'it is not what a key holder wrote');
      // Preamble and MAC are the same in every version, so a flipped version shows as damage.
      refuseOtherVersion(preamble.version, key);
      demand(preamble.kind === KINDS[kind], 'it is of another kind');
      const reader = new ByteReader(object.subarray(PREAMBLE_BYTES - 4, end));
      const body = reader.bytes(reader.u32());
      demand(body.length <= CONTROL_BODY_BYTES_MAX, 'it is too large');
      reader.end();
      return body;
    },
  );
}

/**
 * Parses the body that a key holder wrote, which may still be nonsense.
 * @throws Fault `vault.control-corrupt`
 */
export function parseControlBody<T>(key: ObjectKey, parse: () => T): T {
  return parseOr(
    (why, cause) =>
      new Fault(
        'vault.control-corrupt',
        `The object ${key} is damaged: ${why}.`,
        { key },
        { cause },
      ),
    parse,
  );
}
