import { randomBytes } from 'node:crypto';

/** 26 characters of base 32 are 130 random bits. */
const CHARACTERS = 'abcdefghijkmnpqrstuvwxyz23456789';
const GROUPS = [5, 5, 5, 5, 6];

/** Makes a passphrase that can be written down and typed. */
export function generatePassphrase(): string {
  return GROUPS.map((length) =>
    // 32 characters: the low five bits of a random byte choose one evenly.
    [...randomBytes(length)].map((byte) => CHARACTERS[byte % 32]).join(''),
  ).join('-');
}
