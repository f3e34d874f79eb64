import { Fault, isFault } from '../kernel/fault.ts';
import {
  claimedVault,
  decodeFormat,
  retentionKey,
  retentionKeyOfSeed,
  type VaultFormat,
} from './format-object.ts';
import {
  decodeKeyObject,
  unwrapWithPassphrase,
  unwrapWithRecovery,
  type KeyObject,
} from './key-object.ts';
import { KEY_BYTES, KeyTree } from './key-tree.ts';
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
  const { vaultId, keyVersion } = claimedVault(formatKey, object);
  const keyring = await openKeyring(store, unlock, { vaultId, keyVersion }, signal);
  try {
    const format = decodeFormat(new KeyTree(keyring, vaultId), formatKey, object);
    return { keys: keysOf(keyring, format), format };
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

/** All keys of the vault; the retention key can sign if it is derived from the master key. */
function keysOf(keyring: Uint8Array, format: VaultFormat): KeyTree {
  const vaultId = Buffer.from(format.vaultId, 'hex');
  const version = format.keyVersion;
  const derived = new KeyTree(keyring, vaultId, { version }).retentionSeed(version);
  const retention = retentionKeyOfSeed(format, derived) ?? retentionKey(format);
  return new KeyTree(keyring, vaultId, { version, retention });
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

interface ClaimedVault {
  readonly vaultId: Uint8Array;
  readonly keyVersion: number;
}

/** The master keys that `unlock` opens, if the one of the vault's format is among them. */
async function openKeyring(
  store: ObjectStore,
  unlock: VaultUnlock,
  { vaultId, keyVersion }: ClaimedVault,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const isOfToday = (keyring: Uint8Array): boolean => keyring.length > keyVersion * KEY_BYTES;
  if (unlock.kind === 'master-key') {
    if (isOfToday(unlock.key)) {
      return unlock.key;
    }
    throw outdated(store, 'stored key');
  }
  const secret = unlock.kind === 'recovery-file' ? parseRecoveryFile(unlock.content) : undefined;
  let failure: Fault | undefined;
  for (const key of await newestKeyObjects(store, signal)) {
    const object = await store.get(key, signal);
    if (object === undefined) {
      continue;
    }
    const parsed = tryDecode(key, object);
    if (isFault(parsed)) {
      failure ??= parsed;
      continue;
    }
    if (parsed.vaultId !== Buffer.from(vaultId).toString('hex')) {
      continue;
    }
    const keyring = await unwrap(key, parsed, { unlock, secret });
    if (keyring !== undefined) {
      if (isOfToday(keyring)) {
        return keyring;
      }
      failure = outdated(store, what(unlock));
    }
  }
  throw failure ?? wrong(store, unlock);
}

/** After a rotation the newest objects open the vault, and old ones may still be there. */
async function newestKeyObjects(store: ObjectStore, signal: AbortSignal): Promise<ObjectKey[]> {
  const keys: ObjectKey[] = [];
  for await (const { key } of store.list(PREFIXES.keys, signal)) {
    keys.push(key);
  }
  return keys.sort((a, b) => (numberOf(b) ?? 0) - (numberOf(a) ?? 0)).slice(0, KEY_OBJECTS_MAX);
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

function what(unlock: VaultUnlock): string {
  return unlock.kind === 'passphrase' ? 'passphrase' : 'recovery file';
}

function wrong(store: ObjectStore, unlock: VaultUnlock): Fault {
  return new Fault(
    'vault.wrong-passphrase',
    `This ${what(unlock)} does not open the vault at ${store.location}. Check for typing errors and that it belongs to this vault.`,
    { location: store.location },
  );
}

function outdated(store: ObjectStore, which: string): Fault {
  return new Fault(
    'vault.key-outdated',
    `The keys of the vault at ${store.location} were rotated since this ${which} was made. Open it with a passphrase or recovery file of today.`,
    { location: store.location },
  );
}
