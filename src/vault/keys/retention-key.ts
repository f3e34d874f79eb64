import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

/** docs/vault-format.md, section 4.3. */
export const SEED_BYTES = 32;
export const SIGNATURE_BYTES = 64;
/** RFC 8410: what precedes the 32 bytes of an Ed25519 key in DER form. */
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** Which of the vault's keys signed. */
export type Signer = 'current' | 'earlier';

/**
 * Decides who may give recovery points up. Everybody who opens the vault can check a signature;
 * signing takes the seed, and a machine that backs up need not have it.
 */
export class RetentionKey {
  /** 32 bytes. */
  readonly publicKey: Buffer;
  /** Public keys that this one replaced. */
  readonly earlier: readonly Buffer[];
  /** Key of the list of what was retired before this key replaced the last one. */
  readonly confirmed: string | undefined;
  readonly #private: KeyObject | undefined;

  private constructor(
    publicKey: Uint8Array,
    privateKey: KeyObject | undefined,
    { earlier = [], confirmed }: Replaced,
  ) {
    this.publicKey = Buffer.from(publicKey);
    this.#private = privateKey;
    this.earlier = earlier.map((key) => Buffer.from(key));
    this.confirmed = confirmed;
  }

  static ofSeed(seed: Uint8Array, replaced: Replaced = {}): RetentionKey {
    const der = Buffer.concat([PRIVATE_PREFIX, seed]);
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
    return new RetentionKey(spki.subarray(PUBLIC_PREFIX.length), privateKey, replaced);
  }

  static ofPublicKey(publicKey: Uint8Array, replaced: Replaced = {}): RetentionKey {
    return new RetentionKey(publicKey, undefined, replaced);
  }

  get canSign(): boolean {
    return this.#private !== undefined;
  }

  /** Returns 64 bytes; the same message gives the same signature. Check `canSign` first. */
  sign(message: Uint8Array): Buffer {
    if (this.#private === undefined) {
      throw new TypeError('this retention key cannot sign');
    }
    return sign(null, message, this.#private);
  }

  signer(message: Uint8Array, signature: Uint8Array): Signer | undefined {
    if (verifies(this.publicKey, message, signature)) {
      return 'current';
    }
    return this.earlier.some((key) => verifies(key, message, signature)) ? 'earlier' : undefined;
  }
}

interface Replaced {
  readonly earlier?: readonly Uint8Array[];
  readonly confirmed?: string | undefined;
}

function verifies(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const der = Buffer.concat([PUBLIC_PREFIX, publicKey]);
  return verify(null, message, { key: der, format: 'der', type: 'spki' }, signature);
}
