import { randomBytes } from 'node:crypto';

/** Crockford's base 32: no letter that is read as a digit. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** 6 groups of 5 characters are 150 bits: guessing is hopeless whatever the key derivation. */
const GROUPS = 6;
const GROUP_CHARACTERS = 5;

/** Returns a new passphrase that can be written down and typed: `7Q2MX-…`. */
export function generatePassphrase(): string {
  // 32 characters: the low five bits of a random byte choose one evenly.
  const characters = [...randomBytes(GROUPS * GROUP_CHARACTERS)].map((byte) =>
    ALPHABET.charAt(byte % ALPHABET.length),
  );
  return Array.from({ length: GROUPS }, (_, group) =>
    characters.slice(group * GROUP_CHARACTERS, (group + 1) * GROUP_CHARACTERS).join(''),
  ).join('-');
}
