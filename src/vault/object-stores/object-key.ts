import assert from 'node:assert/strict';
import type { ObjectKey } from '../store/object-store.ts';

/** S3 allows 1024 bytes; the rest is for the prefix of the vault inside its bucket. */
const KEY_LENGTH_MAX = 512;
/** NAME_MAX of Linux file systems, in bytes. */
const PART_LENGTH_MAX = 255;

const PART = /^(?![.]{1,2}$)[A-Za-z0-9._-]+$/;
const PREFIX = /^[A-Za-z0-9._/-]*$/;

/**
 * True for names that a vault may use. Listings skip other names, because other programs may keep
 * files in the same bucket or folder.
 */
export function isObjectKey(name: string): boolean {
  return (
    name.length <= KEY_LENGTH_MAX &&
    name.split('/').every((part) => part.length <= PART_LENGTH_MAX && PART.test(part))
  );
}

/** Refuses a key that could leave the vault, before it is used in a path or a request. */
export function assertObjectKey(key: ObjectKey): void {
  assert(isObjectKey(key), `not an object key: ${JSON.stringify(key)}`);
}

/** Checks a prefix, which may end inside a part of a key and may be empty. */
export function assertListPrefix(prefix: string): void {
  const parts = prefix.split('/').slice(0, -1);
  assert(
    prefix.length <= KEY_LENGTH_MAX &&
      PREFIX.test(prefix) &&
      parts.every((part) => PART.test(part)),
    `not a prefix of object keys: ${JSON.stringify(prefix)}`,
  );
}
