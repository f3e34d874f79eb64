import { createHash, randomBytes } from 'node:crypto';
import { Fault } from '../../kernel/fault.ts';
import { sameBytes } from './key-tree.ts';

/** Crockford's base 32: no letter looks like a digit. */
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const FIRST_LINE = 'Hyperkeep recovery file 1';
const SECRET_BYTES = 32;
const CHECK_BYTES = 4;
const PASSPHRASE_CHARACTERS_MIN = 10;
const PASSPHRASE_DISTINCT_MIN = 5;

export interface RecoveryFile {
  readonly content: string;
  /** 32 bytes. */
  readonly secret: Buffer;
}

/** Makes a file that opens the vault without the passphrase, to be printed or kept offline. */
export function newRecoveryFile(vaultId: string, name: string): RecoveryFile {
  const secret = randomBytes(SECRET_BYTES);
  const text = base32(Buffer.concat([secret, check(secret)]));
  const content = [
    FIRST_LINE,
    `vault: ${vaultId}`,
    `name: ${name}`,
    `secret: ${groups(text, 4)}`,
    '',
    'Whoever has this file can read everything in the vault. Keep it offline and apart from the vault.',
    '',
  ].join('\n');
  return { content, secret };
}

/** @throws Fault `vault.key-corrupt` if this is no recovery file, or it was copied wrongly */
export function parseRecoveryFile(content: string): Buffer {
  const secret = /^secret:\s*([0-9A-Za-z -]{40,120})\s*$/m.exec(content)?.[1];
  const bytes = secret === undefined ? undefined : fromBase32(secret);
  const key = bytes?.subarray(0, SECRET_BYTES);
  if (
    !content.trimStart().startsWith(FIRST_LINE) ||
    bytes?.length !== SECRET_BYTES + CHECK_BYTES ||
    key === undefined ||
    !sameBytes(check(key), bytes.subarray(SECRET_BYTES))
  ) {
    throw new Fault(
      'vault.key-corrupt',
      'This is not a complete recovery file: its secret does not match its check digits. Compare it with the original.',
    );
  }
  return key;
}

/** @throws Fault `vault.weak-passphrase` */
export function refuseWeakPassphrase(passphrase: string): void {
  const distinct = new Set(passphrase.trim()).size;
  if (passphrase.trim().length < PASSPHRASE_CHARACTERS_MIN || distinct < PASSPHRASE_DISTINCT_MIN) {
    throw new Fault(
      'vault.weak-passphrase',
      `A vault passphrase needs at least ${PASSPHRASE_CHARACTERS_MIN} characters, ${PASSPHRASE_DISTINCT_MIN} of them different. Let one be generated if in doubt.`,
    );
  }
}

function check(secret: Uint8Array): Buffer {
  return createHash('sha256').update(secret).digest().subarray(0, CHECK_BYTES);
}

function groups(text: string, size: number): string {
  return (text.match(new RegExp(`.{1,${size}}`, 'g')) ?? []).join('-');
}

function base32(bytes: Uint8Array): string {
  let text = '';
  let carry = 0;
  let bits = 0;
  for (const byte of bytes) {
    carry = ((carry << 8) | byte) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += DIGITS.charAt((carry >> bits) & 31);
    }
  }
  return bits > 0 ? text + DIGITS.charAt((carry << (5 - bits)) & 31) : text;
}

function fromBase32(text: string): Buffer | undefined {
  const bytes: number[] = [];
  let carry = 0;
  let bits = 0;
  for (const character of text
    .toUpperCase()
    .replace(/[\s-]/g, '')
    .replace(/O/g, '0')
    .replace(/[IL]/g, '1')) {
    const digit = DIGITS.indexOf(character);
    if (digit < 0) {
      return undefined;
    }
    carry = ((carry << 5) | digit) & 0xffff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((carry >> bits) & 255);
    }
  }
  return Buffer.from(bytes);
}
