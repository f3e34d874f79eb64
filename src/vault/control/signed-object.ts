import { Fault } from '../../kernel/fault.ts';
import { ByteWriter } from '../bytes/binary.ts';
import { decodeControl, encodeControl, type ControlKind } from './control-object.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { SIGNATURE_BYTES, type Signer } from '../keys/retention-key.ts';

/**
 * Control objects that only a holder of the retention key can write: docs/vault-format.md, section
 * 5.
 */

const LABEL = Buffer.from('hyperkeep/signed/0');

/**
 * Encodes a control object whose body the retention key signs.
 * @throws Fault `vault.retention-key-missing`
 */
export function encodeSigned(
  keys: KeyTree,
  kind: ControlKind,
  key: ObjectKey,
  body: Uint8Array,
): Buffer {
  requireRetentionKey(keys);
  const signature = keys.retention.sign(message(keys, key, body));
  return encodeControl(keys, kind, key, Buffer.concat([signature, body]));
}

/**
 * Returns the body of an object that the present retention key signed.
 * @throws Fault `vault.control-corrupt`, `vault.format-newer`
 */
export function decodeSigned(
  keys: KeyTree,
  kind: ControlKind,
  key: ObjectKey,
  object: Uint8Array,
): Buffer {
  const { body, signer } = openSigned(keys, kind, key, object);
  if (signer !== 'current') {
    throw unsigned(key);
  }
  return body;
}

/**
 * Returns the body of a signed object, and whether the present or an earlier key signed.
 * @throws Fault `vault.control-corrupt`, `vault.format-newer`
 */
export function openSigned(
  keys: KeyTree,
  kind: ControlKind,
  key: ObjectKey,
  object: Uint8Array,
): { readonly body: Buffer; readonly signer: Signer } {
  const content = decodeControl(keys, kind, key, object);
  const body = content.subarray(SIGNATURE_BYTES);
  const signature = content.subarray(0, SIGNATURE_BYTES);
  const signer =
    signature.length === SIGNATURE_BYTES
      ? keys.retention.signer(message(keys, key, body), signature)
      : undefined;
  if (signer === undefined) {
    throw unsigned(key);
  }
  return { body, signer };
}

/** @throws Fault `vault.retention-key-missing` */
function requireRetentionKey(keys: KeyTree): void {
  if (!keys.retention.canSign) {
    throw new Fault(
      'vault.retention-key-missing',
      'Recovery points of this vault can be given up only with its retention key. Set HYPERKEEP_RETENTION_PASSPHRASE_FILE and repeat. Nothing was changed.',
    );
  }
}

function message({ vaultId }: KeyTree, key: ObjectKey, body: Uint8Array): Buffer {
  const name = Buffer.from(key);
  return new ByteWriter(LABEL.length + 18 + name.length + body.length)
    .bytes(LABEL)
    .bytes(vaultId)
    .u16(name.length)
    .bytes(name)
    .bytes(body)
    .finish();
}

function unsigned(key: ObjectKey): Fault {
  return new Fault(
    'vault.control-corrupt',
    `The object ${key} is not signed by the retention key of this vault.`,
    { key },
  );
}
