import { Fault, isFault } from '../../kernel/fault.ts';
import {
  decodeKeyObject,
  KDF_DEFAULT,
  unwrapWithPassphrase,
  unwrapWithRecovery,
  type KeyObject,
  type KeyPurpose,
} from '../keys/key-object.ts';
import { numberOf, PREFIXES } from '../format/object-names.ts';
import { KEY_COST_MAX, KEY_OBJECTS_MAX } from '../format/limits.ts';
import { getOrDamage } from '../format/object-limit.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { parseRecoveryFile } from '../keys/recovery-file.ts';
import type { VaultUnlock } from '../keys/vault-unlock.ts';

/** Eight times the cost in a new vault; more expensive objects wait until all others were tried. */
const KEY_COST_USUAL = 8 * KDF_DEFAULT.memoryKib * KDF_DEFAULT.passes;

/** Returns the key objects, newest first: after a rotation old ones may still be there. */
export async function keyObjects(store: ObjectStore, signal: AbortSignal): Promise<ObjectKey[]> {
  const keys: ObjectKey[] = [];
  for await (const { key } of store.list(PREFIXES.keys, signal)) {
    if (numberOf(key) !== undefined) {
      keys.push(key);
    }
  }
  return keys.sort((a, b) => (numberOf(b) ?? 0) - (numberOf(a) ?? 0));
}

/**
 * Returns what a key object says in clear, or the fault if it is damaged. Undefined if it is gone.
 */
export async function readKeyObject(
  store: ObjectStore,
  key: ObjectKey,
  signal: AbortSignal,
): Promise<KeyObject | Fault | undefined> {
  const object = await getOrDamage(store, key, signal);
  try {
    return object === undefined || isFault(object) ? object : decodeKeyObject(key, object);
  } catch (error) {
    if (isFault(error, 'vault.key-corrupt')) {
      return error;
    }
    throw error;
  }
}

/** Returns what a key object wraps, if `unlock` opens it. */
export async function unwrap(
  key: ObjectKey,
  object: KeyObject,
  unlock: VaultUnlock,
): Promise<Uint8Array | undefined> {
  if (object.kind === 'recovery') {
    return unlock.kind === 'recovery-file'
      ? unwrapWithRecovery(key, object, parseRecoveryFile(unlock.content))
      : undefined;
  }
  return unlock.kind === 'passphrase'
    ? unwrapWithPassphrase(key, object, unlock.passphrase)
    : undefined;
}

interface Wanted {
  readonly vaultId: Uint8Array;
  readonly purpose: KeyPurpose;
  /** Counts what was tried. */
  readonly attempts: Attempts;
}

interface Opened {
  readonly secret: Uint8Array;
  readonly key?: ObjectKey;
}

/** Yields everything of one purpose that `unlock` opens, and the faults of damaged objects. */
export async function* openedBy(
  store: ObjectStore,
  unlock: VaultUnlock,
  { vaultId, purpose, attempts }: Wanted,
  signal: AbortSignal,
): AsyncIterable<Opened | Fault> {
  if (unlock.kind === 'master-key') {
    // For a retention key this is its seed.
    yield { secret: unlock.key };
    return;
  }
  if (unlock.kind === 'recovery-file') {
    // Reports a recovery file that was copied wrongly as such, and not as the wrong file.
    parseRecoveryFile(unlock.content);
  }
  const dear: { key: ObjectKey; object: KeyObject }[] = [];
  for (const key of chosen(await keyObjects(store, signal), unlock)) {
    const object = await readKeyObject(store, key, signal);
    if (isFault(object)) {
      yield object;
    }
    if (object === undefined || isFault(object)) {
      continue;
    }
    const isMeant =
      object.vaultId === Buffer.from(vaultId).toString('hex') && object.purpose === purpose;
    if (!isMeant) {
      continue;
    }
    if (costOf(object, unlock) > KEY_COST_USUAL) {
      dear.push({ key, object });
    } else {
      yield* attempt(key, object, unlock, attempts);
    }
  }
  dear.sort((a, b) => costOf(a.object, unlock) - costOf(b.object, unlock));
  for (const { key, object } of dear) {
    yield* attempt(key, object, unlock, attempts);
  }
}

/**
 * Limits what opening tries. A vault has few keys, but anybody with the right to put can add more,
 * which must not make opening endless.
 */
export interface Attempts {
  tried: number;
  cost: number;
  /** How many objects were not tried. */
  left: number;
}

async function* attempt(
  key: ObjectKey,
  object: KeyObject,
  unlock: VaultUnlock,
  attempts: Attempts,
): AsyncIterable<Opened> {
  const cost = costOf(object, unlock);
  if (cost > 0) {
    if (attempts.tried >= KEY_OBJECTS_MAX || attempts.cost + cost > KEY_COST_MAX) {
      attempts.left += 1;
      return;
    }
    attempts.tried += 1;
    attempts.cost += cost;
  }
  const secret = await unwrap(key, object, unlock);
  if (secret !== undefined) {
    yield { secret, key };
  }
}

/**
 * Returns the cost of the Argon2 run that trying an object takes, in KiB times passes; 0 if it
 * needs none.
 */
function costOf(object: KeyObject, unlock: VaultUnlock): number {
  return object.kind === 'passphrase' && unlock.kind === 'passphrase'
    ? object.kdf.memoryKib * object.kdf.passes
    : 0;
}

/** Returns the key object that was named, or all of them. */
function chosen(keys: readonly ObjectKey[], unlock: VaultUnlock): readonly ObjectKey[] {
  const id = unlock.kind === 'passphrase' ? unlock.keyId : undefined;
  if (id === undefined) {
    return keys;
  }
  const named = keys.filter((key) => key.startsWith(`${PREFIXES.keys}${id}`));
  if (named.length === 0) {
    throw new Fault(
      'vault.key-not-found',
      `There is no key object ${id} in this vault. Give another one with --key, or none.`,
    );
  }
  return named;
}
