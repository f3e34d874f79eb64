import assert from 'node:assert/strict';
import { createDecipheriv, createHmac, hkdfSync } from 'node:crypto';

/*
 * Numbers, keys and encryption of docs/vault-format.md, for the reader that uses nothing of src/.
 */

const BASE32 = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** Reads the fields of section 6, 7 and the lists of section 5. */
export class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  bytes(count: number): Buffer {
    assert(this.#at + count <= this.#bytes.length);
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  u8(): number {
    return this.bytes(1).readUInt8();
  }

  varint(): number {
    const byte = this.u8();
    return byte < 128 ? byte : byte - 128 + 128 * this.varint();
  }

  zigzag(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  end(): void {
    assert.equal(this.#at, this.#bytes.length);
  }
}

export function decrypt(
  key: Buffer,
  index: number,
  bound: Buffer,
  sealed: Buffer,
): Buffer | undefined {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32LE(index, 8);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAAD(bound).setAuthTag(sealed.subarray(-16));
  const plain = decipher.update(sealed.subarray(0, -16));
  return orNothing(() => Buffer.concat([plain, decipher.final()]));
}

export function orNothing<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    // The tag does not match: the caller tries another place, or fails.
    return undefined;
  }
}

export function hkdf(key: Uint8Array, salt: Uint8Array | string, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, info, 32));
}

export function hmac(key: Uint8Array, ...parts: Uint8Array[]): Buffer {
  return parts.reduce((hash, part) => hash.update(part), createHmac('sha256', key)).digest();
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

export function lengthAndName(key: string): Buffer {
  return Buffer.concat([u16(key.length), Buffer.from(key)]);
}

export function base32Ulid(bytes: Buffer): string {
  let value = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let digit = 0; digit < 26; digit++) {
    text = BASE32.charAt(Number(value & 31n)) + text;
    value >>= 5n;
  }
  return text;
}

export function base32(text: string): Buffer {
  const digits = Array.from(text.replaceAll('-', ''), (digit) => BASE32.indexOf(digit));
  const bits = digits.map((digit) => digit.toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}
