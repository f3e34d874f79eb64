import { createCipheriv, createDecipheriv } from 'node:crypto';

export const TAG_BYTES = 16;
/** Nonce index of a pack's footer. */
export const FOOTER_INDEX = 0xffff_ffff;

function nonce(index: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(index, 8);
  return bytes;
}

export interface SealKey {
  /** 32 bytes, used for this object only. */
  readonly key: Uint8Array;
  /** Different for each thing that is encrypted with `key`. */
  readonly index: number;
  readonly additional: Uint8Array;
}

/** Encrypts with AES-256-GCM; the tag follows the ciphertext. */
export function seal(by: SealKey, plain: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', by.key, nonce(by.index));
  cipher.setAAD(by.additional);
  const body = cipher.update(plain);
  cipher.final();
  return Buffer.concat([body, cipher.getAuthTag()]);
}

/** Encrypts into `target`, which has room for the plaintext and the tag. */
export function sealInto(by: SealKey, plain: Uint8Array, target: Uint8Array): void {
  const cipher = createCipheriv('aes-256-gcm', by.key, nonce(by.index));
  cipher.setAAD(by.additional);
  const sealed = cipher.update(plain);
  cipher.final();
  if (sealed.length > 0) {
    // In shared memory `set` copies word by word, or byte by byte where it is not aligned.
    Buffer.from(target.buffer, target.byteOffset, sealed.length).fill(sealed);
  }
  target.set(cipher.getAuthTag(), plain.length);
}

/** Returns the plaintext, or undefined if the bytes are not what was encrypted with `by`. */
export function unseal(by: SealKey, sealed: Uint8Array): Buffer | undefined {
  if (sealed.length < TAG_BYTES) {
    return undefined;
  }
  const decipher = createDecipheriv('aes-256-gcm', by.key, nonce(by.index));
  decipher.setAAD(by.additional);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    // final() fails only if the tag does not match; the caller knows what is damaged.
    return undefined;
  }
  return plain;
}
