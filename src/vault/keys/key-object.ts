import { argon2, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { z } from 'zod';
import { Fault } from '../../kernel/fault.ts';
import { seal, unseal } from '../bytes/aead.ts';
import { ByteReader, ByteWriter, parseOr, demand } from '../bytes/binary.ts';
import { KEY_BYTES } from './key-tree.ts';
import {
  KDF_LANES_MAX,
  KDF_MEMORY_KIB_MAX,
  KDF_PASSES_MAX,
  KEY_JSON_BYTES_MAX,
  KEY_LABEL_CHARACTERS_MAX,
  KEY_VERSIONS_MAX,
} from '../format/limits.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { schemaProblems } from '../../kernel/text/schema-problems.ts';

/** Cost of turning a passphrase into a key. */
export interface KdfCost {
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
}

/** Wrapped master keys: docs/vault-format.md, section 4.2. */

const MAGIC = Buffer.from('HKKEYS00');
const CHECKSUM_BYTES = 32;
const SALT_BYTES = 16;
const RECOVERY_LABEL = 'hyperkeep/recovery';
export const KDF_DEFAULT: KdfCost = { memoryKib: 64 * 1024, passes: 3, lanes: 4 };

const hex = (bytes: number): z.ZodString =>
  z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
/** Master keys one after another, or one seed; then the tag. */
const wrapped = z
  .string()
  .regex(new RegExp(`^(?:[0-9a-f]{${KEY_BYTES * 2}}){1,${KEY_VERSIONS_MAX}}[0-9a-f]{32}$`));
const common = {
  vaultId: hex(16),
  /** `vault` wraps the master keys, `retention` the seed of the retention key. */
  purpose: z.enum(['vault', 'retention']).default('vault'),
  /** For people. Stored in clear. */
  label: z.string().max(KEY_LABEL_CHARACTERS_MAX).default(''),
  createdAtMs: z.int().min(0).default(0),
  wrapped,
};
const KeyObject = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('passphrase'),
    ...common,
    kdf: z.object({
      name: z.literal('argon2id'),
      memoryKib: z.int().min(8).max(KDF_MEMORY_KIB_MAX),
      passes: z.int().min(1).max(KDF_PASSES_MAX),
      lanes: z.int().min(1).max(KDF_LANES_MAX),
      salt: hex(SALT_BYTES),
    }),
  }),
  z.object({ kind: z.literal('recovery'), ...common, salt: hex(SALT_BYTES) }),
]);
export type KeyObject = z.infer<typeof KeyObject>;
export type KeyPurpose = KeyObject['purpose'];

export interface Wrapping {
  /** 16 bytes. */
  readonly vaultId: Uint8Array;
  readonly purpose: KeyPurpose;
  /** The master keys, 32 bytes per key version, or the 32 bytes of a retention seed. */
  readonly secret: Uint8Array;
  readonly label: string;
  readonly createdAtMs: number;
}

export async function wrapWithPassphrase(
  key: ObjectKey,
  wrapping: Wrapping,
  passphrase: string,
  cost: KdfCost,
): Promise<Buffer> {
  const kdf = { name: 'argon2id' as const, ...cost, salt: randomBytes(SALT_BYTES).toString('hex') };
  const wrappedKey = wrapKey(key, wrapping, await stretch(passphrase, kdf));
  return encode(key, { kind: 'passphrase', ...facts(wrapping), kdf, wrapped: wrappedKey });
}

/**
 * @param secret 32 bytes from the recovery file
 * @param salt random; the examples of docs/vault-format.md have one that is always the same
 */
export function wrapWithRecovery(
  key: ObjectKey,
  wrapping: Wrapping,
  secret: Uint8Array,
  salt: Buffer = randomBytes(SALT_BYTES),
): Buffer {
  const wrappedKey = wrapKey(key, wrapping, recoveryKey(secret, salt));
  return encode(key, {
    kind: 'recovery',
    ...facts(wrapping),
    salt: salt.toString('hex'),
    wrapped: wrappedKey,
  });
}

/** @throws Fault `vault.key-corrupt` */
export function decodeKeyObject(key: ObjectKey, object: Uint8Array): KeyObject {
  const damaged = (why: string, cause?: unknown): Fault =>
    new Fault(
      'vault.key-corrupt',
      `The key object ${key} is damaged: ${why}. Try the recovery file or another passphrase.`,
      { key },
      { cause },
    );
  const text = parseOr(damaged, () => {
    const reader = new ByteReader(object);
    demand(reader.bytes(8).equals(MAGIC), 'it is no key object');
    const length = reader.u32();
    demand(length <= KEY_JSON_BYTES_MAX, 'it is too large');
    const json = reader.bytes(length);
    const checksum = reader.bytes(CHECKSUM_BYTES);
    reader.end();
    demand(sha256(object.subarray(0, 12 + length)).equals(checksum), 'its checksum is wrong');
    return json.toString('utf8');
  });
  try {
    return KeyObject.parse(JSON.parse(text));
  } catch (error) {
    throw damaged('it has fields this program does not know', error);
  }
}

/** Returns what the object wraps, or undefined if the passphrase is not its own. */
export async function unwrapWithPassphrase(
  key: ObjectKey,
  object: KeyObject & { kind: 'passphrase' },
  passphrase: string,
): Promise<Buffer | undefined> {
  return unwrapKey(key, object, await stretch(passphrase, object.kdf));
}

export function unwrapWithRecovery(
  key: ObjectKey,
  object: KeyObject & { kind: 'recovery' },
  secret: Uint8Array,
): Buffer | undefined {
  return unwrapKey(key, object, recoveryKey(secret, Buffer.from(object.salt, 'hex')));
}

interface Named {
  readonly vaultId: string;
  readonly purpose: KeyPurpose;
}

function additional(key: ObjectKey, { vaultId, purpose }: Named): Buffer {
  return Buffer.from([key, vaultId, ...(purpose === 'vault' ? [] : [purpose])].join('\n'));
}

function facts({ vaultId, purpose, label, createdAtMs }: Wrapping): Named & {
  label: string;
  createdAtMs: number;
} {
  return { vaultId: toHex(vaultId), purpose, label, createdAtMs };
}

function wrapKey(key: ObjectKey, wrapping: Wrapping, wrappingKey: Uint8Array): string {
  const place = { key: wrappingKey, index: 0, additional: additional(key, facts(wrapping)) };
  return seal(place, wrapping.secret).toString('hex');
}

function unwrapKey(key: ObjectKey, object: KeyObject, wrappingKey: Uint8Array): Buffer | undefined {
  const place = { key: wrappingKey, index: 0, additional: additional(key, object) };
  return unseal(place, Buffer.from(object.wrapped, 'hex'));
}

async function stretch(passphrase: string, kdf: KdfCost & { salt: string }): Promise<Buffer> {
  return promisify(argon2)('argon2id', {
    message: Buffer.from(passphrase.normalize('NFKC')),
    nonce: Buffer.from(kdf.salt, 'hex'),
    parallelism: kdf.lanes,
    tagLength: KEY_BYTES,
    memory: kdf.memoryKib,
    passes: kdf.passes,
  });
}

function recoveryKey(secret: Uint8Array, salt: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, RECOVERY_LABEL, KEY_BYTES));
}

/** @throws Fault `request.invalid` if nobody could read the object */
function encode(key: ObjectKey, object: KeyObject): Buffer {
  const parsed = KeyObject.safeParse(object);
  if (!parsed.success) {
    throw new Fault(
      'request.invalid',
      `There can be no such key: ${schemaProblems(parsed.error, 'key', 1)}. Nothing was written.`,
    );
  }
  const json = Buffer.from(JSON.stringify(object));
  const content = new ByteWriter().bytes(MAGIC).u32(json.length).bytes(json);
  const encoded = content.bytes(sha256(content.finish())).finish();
  decodeKeyObject(key, encoded);
  return encoded;
}

/** Checks the label before anything is written. @throws Fault `request.invalid` */
export function refuseLongLabel(label: string): void {
  if (label.length > KEY_LABEL_CHARACTERS_MAX) {
    throw new Fault(
      'request.invalid',
      `A label has at most ${KEY_LABEL_CHARACTERS_MAX} characters, and this one has ${label.length}. No key was changed; take a shorter one.`,
    );
  }
}

function sha256(content: Uint8Array): Buffer {
  return createHash('sha256').update(content).digest();
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
