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

/**
 * Limits what opening tries. A vault has few keys, but anybody with the right to put can add more,
 * which must not make opening endless.
 */
export class Attempts {
  tried = 0;
  /** How many objects were not tried. */
  left = 0;
  /** What is wrong with the objects that could not be read. */
  readonly damaged: Fault[] = [];
  #cost = 0;

  /** Says whether an object may still be tried, and counts it. What costs nothing always may. */
  allow(cost: number): boolean {
    if (cost === 0) {
      return true;
    }
    if (this.tried >= KEY_OBJECTS_MAX || this.#cost + cost > KEY_COST_MAX) {
      this.left += 1;
      return false;
    }
    this.tried += 1;
    this.#cost += cost;
    return true;
  }
}

interface Wanted {
  readonly vaultId: Uint8Array;
  readonly purpose: KeyPurpose;
  readonly attempts: Attempts;
}

/** What a key object wraps; a stored key comes from none. */
export interface Opened {
  readonly secret: Uint8Array;
  readonly key?: ObjectKey;
}

/**
 * Yields everything of one purpose that `unlock` opens: first by the objects that usually open a
 * vault, newest first, then by those that cost much, cheapest first.
 */
export async function* openedBy(
  store: ObjectStore,
  unlock: VaultUnlock,
  { vaultId, purpose, attempts }: Wanted,
  signal: AbortSignal,
): AsyncIterable<Opened> {
  if (unlock.kind === 'master-key') {
    // For a retention key this is its seed.
    yield { secret: unlock.key };
    return;
  }
  if (unlock.kind === 'recovery-file') {
    // Reports a recovery file that was copied wrongly as such, and not as the wrong file.
    parseRecoveryFile(unlock.content);
  }
  const dear: Attempt[] = [];
  for (const key of chosen(await keyObjects(store, signal), unlock)) {
    const object = await readKeyObject(store, key, signal);
    if (isFault(object)) {
      attempts.damaged.push(object);
      continue;
    }
    const isMeant =
      object?.vaultId === Buffer.from(vaultId).toString('hex') && object.purpose === purpose;
    if (!isMeant) {
      continue;
    }
    const attempt = { key, object, cost: costOf(object, unlock) };
    if (attempt.cost > KEY_COST_USUAL) {
      dear.push(attempt);
    } else {
      yield* opened(attempt, unlock, attempts);
    }
  }
  for (const attempt of dear.sort((a, b) => a.cost - b.cost)) {
    yield* opened(attempt, unlock, attempts);
  }
}

interface Attempt {
  readonly key: ObjectKey;
  readonly object: KeyObject;
  readonly cost: number;
}

async function* opened(
  { key, object, cost }: Attempt,
  unlock: VaultUnlock,
  attempts: Attempts,
): AsyncIterable<Opened> {
  const secret = attempts.allow(cost) ? await unwrap(key, object, unlock) : undefined;
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
