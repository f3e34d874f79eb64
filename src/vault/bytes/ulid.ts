import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

/** Crockford's base 32. */
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const PATTERN = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const TIME_MS_MAX = 2 ** 48 - 1;
const ULID_DIGITS = 26;
/** 50 bits, the first two of them zero. */
const TIME_DIGITS = 10;
// A large vault has hundreds of thousands of ULIDs, so tables and reused memory pay.
const DIGIT_CODES = Uint8Array.from(DIGITS, (digit) => digit.charCodeAt(0));
const DIGIT_VALUES = new Uint8Array(128);
for (const [value, code] of DIGIT_CODES.entries()) {
  DIGIT_VALUES[code] = value;
}
const TEXT = Buffer.alloc(ULID_DIGITS);

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
  // 128 bits are 26 digits of 5 bits, with two zero bits in front.
  let carry = 0;
  let bits = 2;
  let at = 0;
  for (const byte of bytes) {
    carry = (carry << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      TEXT[at++] = DIGIT_CODES[(carry >> bits) & 31] ?? 0;
    }
    carry &= (1 << bits) - 1;
  }
  return TEXT.toString('latin1');
}

export function ulidBytes(ulid: Ulid): Buffer {
  assert(isUlid(ulid), 'not a ULID');
  // From the pool, because every pack of a vault comes here. All 16 bytes are written below.
  const bytes = Buffer.allocUnsafe(16);
  let carry = 0;
  let bits = -2;
  let at = 0;
  for (let index = 0; index < ULID_DIGITS; index++) {
    carry = (carry << 5) | valueAt(ulid, index);
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
  assert(isUlid(ulid), 'not a ULID');
  let timeMs = 0;
  for (let index = 0; index < TIME_DIGITS; index++) {
    timeMs = timeMs * 32 + valueAt(ulid, index);
  }
  return timeMs;
}

function valueAt(ulid: Ulid, index: number): number {
  return DIGIT_VALUES[ulid.charCodeAt(index)] ?? 0;
}
