import type { ObjectKey } from '../store/object-store.ts';
import {
  parseHoldKey,
  parsePackKey,
  parsePointKey,
  parseRetireKey,
  parseRetireRequestKey,
} from './object-names.ts';
import { RECORD_PREFIX } from './record-names.ts';

const REST = '\\d{6,12}-[0-9a-f]{32}';
const NUMBERED: Readonly<Record<string, RegExp>> = {
  fmt: new RegExp(`^fmt/${REST}(\\.retired)?$`),
  keys: new RegExp(`^keys/${REST}$`),
  gc: new RegExp(`^gc/${REST}(\\.done)?$`),
  bad: new RegExp(`^bad/${REST}(\\.[0-9a-f]{32}\\.done)?$`),
  alias: new RegExp(`^alias/${REST}$`),
  probe: new RegExp(`^probe/${REST}$`),
  keep: new RegExp(`^keep/${REST}$`),
};
/** Reserved whole. */
const RESERVED = ['x/', RECORD_PREFIX];

/**
 * Returns the first part of the key, such as `d/`, if the key is one of a vault
 * (docs/vault-format.md, section 2); undefined for whatever else lies there.
 */
export function keyClassOf(key: ObjectKey): string | undefined {
  const name = key.slice(0, key.indexOf('/'));
  return isOfVault(key, name) ? `${name}/` : undefined;
}

function isOfVault(key: ObjectKey, name: string): boolean {
  switch (name) {
    case 'd':
    case 'm':
      return parsePackKey(key) !== undefined;
    case 's':
      return parsePointKey(key) !== undefined;
    case 'retire':
      return (parseRetireKey(key) ?? parseRetireRequestKey(key)) !== undefined;
    case 'hold':
      return parseHoldKey(key) !== undefined;
    default:
      return RESERVED.includes(`${name}/`) || NUMBERED[name]?.test(key) === true;
  }
}
