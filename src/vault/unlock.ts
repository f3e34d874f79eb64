import { Fault, isFault } from '../kernel/fault.ts';
import { claimedVaultId, decodeFormat, type VaultFormat } from './format-object.ts';
import {
  decodeKeyObject,
  unwrapWithPassphrase,
  unwrapWithRecovery,
  type KeyObject,
} from './key-object.ts';
import { KeyTree } from './key-tree.ts';
import { numberOf, PREFIXES } from './layout.ts';
import type { ObjectKey, ObjectStore } from './object-store.ts';
import { parseRecoveryFile } from './recovery-file.ts';
import type { VaultUnlock } from './vault-options.ts';

/** More key objects than this are not tried: each costs an Argon2 run. */
const KEY_OBJECTS_MAX = 32;

export interface UnlockedVault {
  readonly keys: KeyTree;
  readonly format: VaultFormat;
}

/**
 * Finds the format of the vault at `store` and proves that `unlock` opens it.
 * @throws Fault `vault.not-found`, `vault.wrong-passphrase`, `vault.key-corrupt`,
 *   `vault.format-corrupt`, `vault.format-newer`
 */
export async function unlockVault(
  store: ObjectStore,
  unlock: VaultUnlock,
  signal: AbortSignal,
): Promise<UnlockedVault> {
  const formatKey = await newestFormat(store, signal);
  const object = formatKey === undefined ? undefined : await store.get(formatKey, signal);
  if (formatKey === undefined || object === undefined) {
    throw new Fault(
      'vault.not-found',
      `There is no vault at ${store.location}. Check the location, or create a vault there.`,
      { location: store.location },
    );
  }
  const vaultId = claimedVaultId(formatKey, object);
  const master = await masterKey(store, unlock, vaultId, signal);
  const keys = new KeyTree(master, vaultId);
  try {
    return { keys, format: decodeFormat(keys, formatKey, object) };
  } catch (error) {
    if (unlock.kind === 'master-key' && isFault(error, 'vault.format-corrupt')) {
      throw new Fault(
        'vault.wrong-passphrase',
        `The stored key does not open the vault at ${store.location}: it is another vault's, or ${formatKey} is damaged. Open it with the passphrase to tell.`,
        { location: store.location },
        { cause: error },
      );
    }
    throw error;
  }
}

async function newestFormat(
  store: ObjectStore,
  signal: AbortSignal,
): Promise<ObjectKey | undefined> {
  let newest: ObjectKey | undefined;
  for await (const { key } of store.list(PREFIXES.format, signal)) {
    if ((numberOf(key) ?? -1) > (newest === undefined ? -1 : (numberOf(newest) ?? -1))) {
      newest = key;
    }
  }
  return newest;
}

async function masterKey(
  store: ObjectStore,
  unlock: VaultUnlock,
  vaultId: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (unlock.kind === 'master-key') {
    return unlock.key;
  }
  const secret = unlock.kind === 'recovery-file' ? parseRecoveryFile(unlock.content) : undefined;
  let damage: Fault | undefined;
  let tried = 0;
  for await (const { key } of store.list(PREFIXES.keys, signal)) {
    const object = await store.get(key, signal);
    if (object === undefined || tried >= KEY_OBJECTS_MAX) {
      continue;
    }
    tried += 1;
    const parsed = tryDecode(key, object);
    if (isFault(parsed)) {
      damage = parsed;
      continue;
    }
    const master =
      parsed.vaultId === Buffer.from(vaultId).toString('hex')
        ? await unwrap(key, parsed, { unlock, secret })
        : undefined;
    if (master !== undefined) {
      return master;
    }
  }
  throw damage ?? wrong(store, unlock);
}

/** A damaged key object does not matter if another one opens the vault. */
function tryDecode(key: ObjectKey, object: Uint8Array): KeyObject | Fault {
  try {
    return decodeKeyObject(key, object);
  } catch (error) {
    if (isFault(error, 'vault.key-corrupt')) {
      return error;
    }
    throw error;
  }
}

async function unwrap(
  key: ObjectKey,
  object: KeyObject,
  { unlock, secret }: { unlock: VaultUnlock; secret: Uint8Array | undefined },
): Promise<Uint8Array | undefined> {
  if (object.kind === 'recovery') {
    return secret === undefined ? undefined : unwrapWithRecovery(key, object, secret);
  }
  return unlock.kind === 'passphrase'
    ? unwrapWithPassphrase(key, object, unlock.passphrase)
    : undefined;
}

function wrong(store: ObjectStore, unlock: VaultUnlock): Fault {
  const what = unlock.kind === 'passphrase' ? 'passphrase' : 'recovery file';
  return new Fault(
    'vault.wrong-passphrase',
    `This ${what} does not open the vault at ${store.location}. Check for typing errors and that it belongs to this vault.`,
    { location: store.location },
  );
}
