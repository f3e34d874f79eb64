import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

/** Crockford's base 32. */
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const PATTERN = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const TIME_MS_MAX = 2 ** 48 - 1;

/** 48 bits of milliseconds and 80 random bits, as 26 characters that sort by time. */
export type Ulid = string;

export function newUlid(timeMs: number): Ulid {
  assert(Number.isSafeInteger(timeMs) && timeMs >= 0 && timeMs <= TIME_MS_MAX);
  const bytes = randomBytes(16);
  bytes.writeUIntBE(timeMs, 0, 6);
  return ulidText(bytes);
}

export function isUlid(text: string): boolean {
  return PATTERN.test(text);
}

export function ulidText(bytes: Uint8Array): Ulid {
  assert(bytes.length === 16);
  // 128 bits are 26 digits of 5 bits with two zero bits in front.
  let text = '';
  let carry = 0;
  let bits = 2;
  for (const byte of bytes) {
    carry = (carry << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += DIGITS.charAt((carry >> bits) & 31);
    }
    carry &= (1 << bits) - 1;
  }
  return text;
}

export function ulidBytes(ulid: Ulid): Buffer {
  assert(isUlid(ulid), 'not a ULID');
  // From the pool: this is called for every pack of a vault. All 16 bytes are written below.
  const bytes = Buffer.allocUnsafe(16);
  let carry = 0;
  let bits = -2;
  let at = 0;
  for (const character of ulid) {
    carry = (carry << 5) | DIGITS.indexOf(character);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (carry >> bits) & 255;
      carry &= (1 << bits) - 1;
    }
  }
  return bytes;
}

export function ulidTimeMs(ulid: Ulid): number {
  return ulidBytes(ulid).readUIntBE(0, 6);
}
