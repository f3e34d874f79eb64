import assert from 'node:assert/strict';
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { KEY_VERSIONS_MAX } from '../format/limits.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { RetentionKey, SEED_BYTES } from './retention-key.ts';

/** docs/vault-format.md, section 4.1. */
export const KEY_BYTES = 32;
export const MAC_BYTES = 16;
const UUID_BYTES = 16;

/** Purposes whose key changes with the key version, which every object names. */
type VersionedPurpose = ObjectPurpose | 'control' | 'format';
/** Purposes of objects that are encrypted; `catalog`: docs/service-records.md. */
type ObjectPurpose = 'data' | 'metadata' | 'point' | 'catalog';
/**
 * Purposes that always use the first key, because points of different key versions share what
 * depends on it.
 */
type LastingPurpose = 'map' | 'point';

/** All keys of a vault. They are derived from its master keys, one per key version. */
export class KeyTree {
  /** 32 bytes per key version, one after another. */
  readonly keyring: Buffer;
  /** 16 bytes. */
  readonly vaultId: Buffer;
  /** Key version that new objects are written with. */
  readonly version: number;
  readonly retention: RetentionKey;
  readonly #derived = new Map<string, Buffer>();

  /** Without options: the newest key, and a retention key derived from it. */
  constructor(
    keyring: Uint8Array,
    vaultId: Uint8Array,
    options: { readonly version?: number; readonly retention?: RetentionKey } = {},
  ) {
    const versions = keyring.length / KEY_BYTES;
    assert(Number.isInteger(versions) && versions >= 1 && versions <= KEY_VERSIONS_MAX);
    this.keyring = Buffer.from(keyring);
    this.vaultId = Buffer.from(vaultId);
    this.version = options.version ?? versions - 1;
    assert(this.has(this.version), 'no such key version');
    this.retention = options.retention ?? RetentionKey.ofSeed(this.retentionSeed(this.version));
  }

  has(version: number): boolean {
    return version < this.keyring.length / KEY_BYTES;
  }

  /** Returns the seed of the retention key for vaults without a separate one. */
  retentionSeed(version: number): Buffer {
    return this.#derive('retention', version, SEED_BYTES);
  }

  chunkId(domain: string): Buffer {
    return this.#derive(`chunk-id/${domain}`, 0, KEY_BYTES);
  }

  /** Returns 33 words for the cut function. */
  cut(domain: string): Buffer {
    return this.#derive(`cut/${domain}`, 0, 132);
  }

  /** Returns the AES key of one object. */
  object(purpose: ObjectPurpose, key: ObjectKey, version: number = this.version): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#key(purpose, version), '', key, KEY_BYTES));
  }

  purpose(purpose: LastingPurpose): Buffer {
    return this.#key(purpose, 0);
  }

  /** Returns the MAC of an object that names its key version. */
  mac(
    purpose: VersionedPurpose,
    version: number,
    ...parts: readonly (string | Uint8Array)[]
  ): Buffer {
    return hmac(this.#key(purpose, version), parts);
  }

  /**
   * Returns a UUID for what these words name. It is the same for everybody with the vault's key;
   * without the key nobody can guess the words from it.
   */
  idOf(...words: readonly string[]): string {
    const key = this.#derive('id', 0, KEY_BYTES);
    const bytes = hmac(key, [words.join('\0')]).subarray(0, UUID_BYTES);
    // RFC 9562: version 8 (custom), variant 10.
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  }

  mac16(purpose: LastingPurpose, ...parts: readonly (string | Uint8Array)[]): Buffer {
    return hmac(this.purpose(purpose), parts).subarray(0, MAC_BYTES);
  }

  #key(purpose: VersionedPurpose | LastingPurpose, version: number): Buffer {
    const label = `${purpose}/${version}`;
    let key = this.#derived.get(label);
    if (key === undefined) {
      key = this.#derive(purpose, version, KEY_BYTES);
      this.#derived.set(label, key);
    }
    return key;
  }

  #derive(purpose: string, version: number, length: number): Buffer {
    const master = this.keyring.subarray(version * KEY_BYTES, (version + 1) * KEY_BYTES);
    assert(master.length === KEY_BYTES, 'no such key version');
    const label = `hyperkeep/${purpose}/${version}`;
    return Buffer.from(hkdfSync('sha256', master, this.vaultId, label, length));
  }
}

function hmac(key: Uint8Array, parts: readonly (string | Uint8Array)[]): Buffer {
  const hash = createHmac('sha256', key);
  for (const part of parts) {
    hash.update(part);
  }
  return hash.digest();
}

/** Compares in constant time. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
