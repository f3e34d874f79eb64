import { z } from 'zod';
import { Fault } from '../../kernel/fault.ts';
import {
  CONTROL_MAC_BYTES,
  decodeControl,
  encodeControl,
  parsePreamble,
  PREAMBLE_BYTES,
} from './control-object.ts';
import { parseJson, parseOr, demand } from '../bytes/binary.ts';
import { FORMAT_VERSION, refuseOtherVersion } from '../format/format-version.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import {
  CHUNK_SECTORS_MAX,
  CONFIRMED_CHARACTERS_MAX,
  CUT_BITS_MAX,
  KEY_VERSIONS_MAX,
  LOCK_DAYS_MAX,
  PACK_TARGET_BYTES_MAX,
  PACK_TARGET_BYTES_MIN,
  VAULT_NAME_CHARACTERS_MAX,
} from '../format/limits.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { RetentionKey } from '../keys/retention-key.ts';
import { schemaProblems } from '../../kernel/text/schema-problems.ts';

/** What kind of vault this is: docs/vault-format.md, section 5. */

const featureBits = z.int().min(0).max(0xffff_ffff);
/** A loose object: a new format object keeps what a later program put into the one before. */
export const Features = z.looseObject({
  incompatible: featureBits,
  readOnly: featureBits,
  compatible: featureBits,
  noCollect: featureBits,
});
export type Features = z.infer<typeof Features>;
/** Features of this version of the program: none. */
export const NO_FEATURES: Features = { incompatible: 0, readOnly: 0, compatible: 0, noCollect: 0 };

const sectors = z.int().min(1).max(CHUNK_SECTORS_MAX);
const publicKey = z.string().regex(/^[0-9a-f]{64}$/);
const Retention = z.looseObject({
  /** True if the key is not derived from the master key and has key objects of its own. */
  separate: z.boolean(),
  /** Ed25519. */
  publicKey,
  /** Keys that were replaced, oldest first. */
  earlier: z.array(publicKey).max(KEY_VERSIONS_MAX),
  /** Key of the list of what was retired when the last of them was replaced. */
  confirmed: z.string().max(CONFIRMED_CHARACTERS_MAX).optional(),
});
const VaultFormat = z.looseObject({
  version: z.int(),
  features: Features,
  vaultId: z.string().regex(/^[0-9a-f]{32}$/),
  name: z.string().max(VAULT_NAME_CHARACTERS_MAX),
  createdAtMs: z.int().min(0),
  singleWriter: z.boolean(),
  cipher: z.literal('aes-256-gcm'),
  compression: z.literal('zstd'),
  chunkId: z.enum(['blake3', 'hmac-sha256']),
  dedupDomain: z.string().regex(/^[0-9a-f]{32}$/),
  chunker: z.looseObject({
    minSectors: sectors,
    cutBits: z.int().min(1).max(CUT_BITS_MAX),
    maxSectors: sectors,
  }),
  /** Lock that objects get when they are put: docs/vault-format.md, section 16. */
  lock: z
    .looseObject({
      mode: z.enum(['governance', 'compliance']),
      days: z.int().min(1).max(LOCK_DAYS_MAX),
    })
    .optional(),
  /** Version of the key that new objects are written with. */
  keyVersion: z
    .int()
    .min(0)
    .max(KEY_VERSIONS_MAX - 1),
  retention: Retention,
  packBytes: z.int().min(PACK_TARGET_BYTES_MIN).max(PACK_TARGET_BYTES_MAX),
});
export type VaultFormat = z.infer<typeof VaultFormat>;

/** @throws Fault `request.invalid` if a vault with this format would not open */
export function encodeFormat(keys: KeyTree, key: ObjectKey, format: VaultFormat): Buffer {
  const parsed = VaultFormat.safeParse(format);
  if (!parsed.success) {
    throw new Fault(
      'request.invalid',
      `No vault can be like this: ${schemaProblems(parsed.error, 'format', 1)}. Nothing was written under fmt/.`,
    );
  }
  const object = encodeControl(keys, 'format', key, Buffer.from(JSON.stringify(format)));
  decodeFormat(keys, key, object);
  return object;
}

/** What a format object claims; only decodeFormat proves it. */
export interface ClaimedVault {
  readonly vaultId: Buffer;
  readonly keyVersion: number;
  readonly version: number;
}

/** @throws Fault `vault.format-corrupt` */
export function claimedVault(key: ObjectKey, object: Uint8Array): ClaimedVault {
  return parseOr(
    (why, cause) => damaged(key, why, cause),
    () => {
      const { version, kind, keyVersion, vaultId } = parsePreamble(object);
      demand(kind === 1, 'it is of another kind');
      return { vaultId: Buffer.from(vaultId), keyVersion, version };
    },
  );
}

/**
 * For copying a vault without its keys: refuses formats with kinds of objects that a copy might
 * leave out. Proves nothing.
 * @throws Fault `vault.format-newer`, `vault.format-preliminary`
 */
export function refuseToCopy(key: ObjectKey, object: Uint8Array): void {
  refuseOtherVersion(claimedVault(key, object).version, key);
  const { incompatible, readOnly, noCollect } = claimedFeatures(object);
  const features = incompatible | readOnly | noCollect;
  if (features !== 0) {
    throw new Fault(
      'vault.format-newer',
      `${key} uses features (${(features >>> 0).toString(2)}) with which this program cannot copy the vault whole. Nothing was written; use a newer program to copy.`,
      { key },
    );
  }
}

function claimedFeatures(object: Uint8Array): Features {
  try {
    const json = parseJson(object.subarray(PREAMBLE_BYTES, -CONTROL_MAC_BYTES));
    return z.object({ features: Features }).parse(json).features;
  } catch {
    // A damaged format object is copied as it is; opening the copy reports it.
    return NO_FEATURES;
  }
}

/** Returns the retention key of the vault as its format has it: it can check signatures. */
export function retentionKey({ retention }: VaultFormat): RetentionKey {
  return RetentionKey.ofPublicKey(Buffer.from(retention.publicKey, 'hex'), replaced(retention));
}

/**
 * Returns the retention key with which one can sign, or undefined if the seed is not this key's.
 */
export function retentionKeyOfSeed(
  { retention }: VaultFormat,
  seed: Uint8Array,
): RetentionKey | undefined {
  const key = RetentionKey.ofSeed(seed, replaced(retention));
  return key.publicKey.toString('hex') === retention.publicKey ? key : undefined;
}

function replaced({ earlier, confirmed }: VaultFormat['retention']): {
  earlier: Buffer[];
  confirmed?: string;
} {
  const keys = earlier.map((key) => Buffer.from(key, 'hex'));
  return { earlier: keys, ...(confirmed === undefined ? {} : { confirmed }) };
}

/** @throws Fault `vault.format-corrupt`, `vault.format-newer`, `vault.format-preliminary` */
export function decodeFormat(keys: KeyTree, key: ObjectKey, object: Uint8Array): VaultFormat {
  const body = decodeControl(keys, 'format', key, object);
  let json: unknown;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw damaged(key, 'it is no JSON', error);
  }
  const head = z.object({ version: z.int(), features: Features }).safeParse(json);
  if (head.success) {
    refuseUnknownFeatures(head.data.features, key);
    refuseOtherVersion(head.data.version, key);
  }
  const format = VaultFormat.safeParse(json);
  if (!format.success || format.data.version !== FORMAT_VERSION) {
    throw damaged(key, 'it has fields this program does not know', format.error);
  }
  return format.data;
}

/** @throws Fault `vault.format-newer` */
export function refuseUnknownFeatures(features: Features, key: ObjectKey): void {
  if (features.incompatible !== 0) {
    throw new Fault(
      'vault.format-newer',
      `${key} uses features (${features.incompatible.toString(2)}) that this program does not know. Use a newer program; the vault is unharmed.`,
      { key, features: features.incompatible },
    );
  }
}

/** Refuses to change a vault that this program may only read. @throws Fault `vault.format-newer` */
export function refuseReadOnly({ name, features }: VaultFormat): void {
  if (features.readOnly !== 0) {
    throw new Fault(
      'vault.format-newer',
      `The vault ${name} uses features (${features.readOnly.toString(2)}) with which this program can only read it. Nothing was written; use a newer program to write.`,
      { features: features.readOnly },
    );
  }
}

function damaged(key: ObjectKey, why: string, cause?: unknown): Fault {
  return new Fault(
    'vault.format-corrupt',
    `The format object ${key} is damaged: ${why}.`,
    { key },
    { cause },
  );
}
