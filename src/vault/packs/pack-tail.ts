import { crc32 } from 'node:zlib';
import { FOOTER_INDEX, unseal } from '../bytes/aead.ts';
import { Malformed, demand } from '../bytes/binary.ts';
import type { VaultFormat } from '../control/format-object.ts';
import type { FrameKeys } from './frame.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import { packKey, type PackName } from '../format/object-names.ts';
import { TRAILER_BYTES } from '../format/pack-ends.ts';
import {
  decodeFooter,
  packHeader,
  parseTrailer,
  type FooterRange,
  type PackContext,
  type PackFooter,
} from './pack-layout.ts';

/** What reading a pack takes besides its bytes. */
export interface PackSecrets {
  readonly keys: KeyTree;
  readonly context: PackContext;
}

/** Returns the secrets for packs: writing uses the key version with which the vault was opened. */
export function packSecrets(keys: KeyTree, { chunkId }: Pick<VaultFormat, 'chunkId'>): PackSecrets {
  return { keys, context: { vaultId: keys.vaultId, chunkId, keyVersion: keys.version } };
}

/** The last bytes of a pack, and the size of the whole pack. */
export interface PackEnd {
  readonly objectSize: number;
  readonly tail: Uint8Array;
}

/** Returns the keys for the frames of one pack. */
export function packKeys(
  { keys, context }: PackSecrets,
  name: PackName,
  keyVersion: number,
): FrameKeys {
  return {
    key: keys.object(name.kind, packKey(name), keyVersion),
    header: packHeader({ ...context, keyVersion }, name),
  };
}

/** Returns where the footer lies. @throws Malformed */
export function placeFooter(
  { context }: PackSecrets,
  name: PackName,
  { objectSize, tail }: PackEnd,
): FooterRange {
  const trailer = tail.subarray(Math.max(0, tail.length - TRAILER_BYTES));
  return parseTrailer(context, name, trailer, objectSize);
}

/** Returns the footer, and the keys of the version that the trailer names. @throws Malformed */
export function openEnd(
  secrets: PackSecrets,
  name: PackName,
  end: PackEnd,
): { readonly keys: FrameKeys; readonly footer: PackFooter } {
  const { offset, length, crc, keyVersion } = placeFooter(secrets, name, end);
  demand(
    secrets.keys.has(keyVersion),
    `it names a key (${keyVersion}) that did not open this vault`,
  );
  const keys = packKeys(secrets, name, keyVersion);
  const start = offset - (end.objectSize - end.tail.length);
  demand(start >= 0, 'its footer is cut short');
  const sealed = end.tail.subarray(start, start + length);
  demand(crc32(sealed) === crc, 'its footer does not match its checksum');
  const plain = unseal({ key: keys.key, index: FOOTER_INDEX, additional: keys.header }, sealed);
  if (plain === undefined) {
    throw new Malformed('its footer is not what was written');
  }
  return { keys, footer: decodeFooter(name.kind, plain, offset) };
}
