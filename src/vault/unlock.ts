import { Fault, isFault } from '../kernel/fault.ts';
import {
  claimedVault,
  decodeFormat,
  retentionKey,
  retentionKeyOfSeed,
  type VaultFormat,
} from './format-object.ts';
import { refuseOtherVersion } from './format-version.ts';
import {
  decodeKeyObject,
  unwrapWithPassphrase,
  unwrapWithRecovery,
  type KeyObject,
  type KeyPurpose,
} from './key-object.ts';
import { KEY_BYTES, KeyTree } from './key-tree.ts';
import { numberOf, PREFIXES } from './layout.ts';
import { KEY_OBJECTS_MAX } from './limits.ts';
import { getOrDamage } from './object-limit.ts';
import { newestNumbered } from './numbered-objects.ts';
import type { ObjectKey, ObjectStore } from './object-store.ts';
import { parseRecoveryFile } from './recovery-file.ts';
import type { ChunkingSecrets } from './store-task.ts';
import type { VaultUnlock } from './vault-options.ts';

export interface UnlockedVault {
  readonly keys: KeyTree;
  readonly format: VaultFormat;
  readonly formatKey: ObjectKey;
  /** The key object that opened it; none for the stored master key. */
  readonly openedBy?: ObjectKey;
  /** Of a separate retention key, if it was opened. */
  readonly seed?: Uint8Array;
}

/** What opens the vault, and what opens its separate retention key. */
export interface Unlocks {
  readonly vault: VaultUnlock;
  readonly retention?: VaultUnlock;
}

/**
 * Finds the format of the vault at `store` and proves that `unlock` opens it.
 * @throws Fault `vault.not-found`, `vault.wrong-passphrase`, `vault.key-corrupt`,
 *   `vault.key-outdated`, `vault.format-corrupt`, `vault.format-newer`
 */
export async function unlockVault(
  store: ObjectStore,
  unlocks: Unlocks,
  signal: AbortSignal,
): Promise<UnlockedVault> {
  const formatKey = await newestNumbered(store, PREFIXES.format, signal);
  const object = formatKey === undefined ? undefined : await store.get(formatKey, signal);
  if (formatKey === undefined || object === undefined) {
    throw noVault(store);
  }
  const { vaultId, keyVersion, version } = claimedVault(formatKey, object);
  const wanted = { vaultId, purpose: 'vault' } as const;
  let failure: Fault | undefined;
  for await (const found of openedBy(store, unlocks.vault, wanted, signal)) {
    if (isFault(found)) {
      failure ??= found;
    } else if (found.secret.length <= keyVersion * KEY_BYTES) {
      failure = outdated(store, unlocks.vault);
    } else {
      try {
        const format = decodeFormat(new KeyTree(found.secret, vaultId), formatKey, object);
        const seed = await seedOf(store, format, unlocks, signal);
        return {
          keys: keysOf(found.secret, format, seed),
          format,
          formatKey,
          ...(found.key === undefined ? {} : { openedBy: found.key }),
          ...(seed === undefined ? {} : { seed }),
        };
      } catch (error) {
        failure = formatFault(store, unlocks.vault, formatKey, error);
      }
    }
  }
  throw failure ?? nothingOpened(store, unlocks, { formatKey, version });
}

function nothingOpened(
  store: ObjectStore,
  { vault }: Unlocks,
  { formatKey, version }: { readonly formatKey: ObjectKey; readonly version: number },
): Fault {
  // Perhaps a later program wraps keys in another way.
  refuseOtherVersion(version, formatKey);
  return wrong(store, whatOpens(vault));
}

/** Key objects, the newest first: after a rotation old ones may still be there. */
export async function keyObjects(store: ObjectStore, signal: AbortSignal): Promise<ObjectKey[]> {
  const keys: ObjectKey[] = [];
  for await (const { key } of store.list(PREFIXES.keys, signal)) {
    if (numberOf(key) !== undefined) {
      keys.push(key);
    }
  }
  return keys.sort((a, b) => (numberOf(b) ?? 0) - (numberOf(a) ?? 0));
}

/** What a key object says in clear; the fault if it is damaged. Undefined if it is gone. */
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

/** What a key object wraps, if `unlock` opens it. */
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

interface Opened {
  readonly secret: Uint8Array;
  readonly key?: ObjectKey;
}

/** Everything of one purpose that `unlock` opens, and the faults of damaged objects. */
async function* openedBy(
  store: ObjectStore,
  unlock: VaultUnlock,
  { vaultId, purpose }: { vaultId: Uint8Array; purpose: KeyPurpose },
  signal: AbortSignal,
): AsyncIterable<Opened | Fault> {
  if (unlock.kind === 'master-key') {
    // For a retention key: its seed.
    yield { secret: unlock.key };
    return;
  }
  if (unlock.kind === 'recovery-file') {
    // A file that was copied wrongly is not reported as the wrong file.
    parseRecoveryFile(unlock.content);
  }
  let tried = 0;
  for (const key of await keyObjects(store, signal)) {
    const object = await readKeyObject(store, key, signal);
    if (object === undefined || isFault(object)) {
      if (object !== undefined) {
        yield object;
      }
      continue;
    }
    const isMeant =
      object.vaultId === Buffer.from(vaultId).toString('hex') && object.purpose === purpose;
    if (isMeant && tried < KEY_OBJECTS_MAX) {
      tried += 1;
      const secret = await unwrap(key, object, unlock);
      if (secret !== undefined) {
        yield { secret, key };
      }
    }
  }
}

function keysOf(keyring: Uint8Array, format: VaultFormat, seed: Uint8Array | undefined): KeyTree {
  const vaultId = Buffer.from(format.vaultId, 'hex');
  const version = format.keyVersion;
  const derived = new KeyTree(keyring, vaultId, { version }).retentionSeed(version);
  const signing = retentionKeyOfSeed(format, seed ?? derived);
  return new KeyTree(keyring, vaultId, { version, retention: signing ?? retentionKey(format) });
}

/** The seed of a separate retention key. A recovery file opens both. */
async function seedOf(
  store: ObjectStore,
  format: VaultFormat,
  { vault, retention }: Unlocks,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const unlock = retention ?? (vault.kind === 'recovery-file' ? vault : undefined);
  if (unlock === undefined || !format.retention.separate) {
    return undefined;
  }
  const wanted = { vaultId: Buffer.from(format.vaultId, 'hex'), purpose: 'retention' } as const;
  for await (const found of openedBy(store, unlock, wanted, signal)) {
    if (!isFault(found) && retentionKeyOfSeed(format, found.secret) !== undefined) {
      return found.secret;
    }
  }
  if (retention === undefined) {
    return undefined;
  }
  throw wrong(store, `retention ${whatOpens(unlock)}`);
}

function formatFault(
  store: ObjectStore,
  unlock: VaultUnlock,
  formatKey: ObjectKey,
  error: unknown,
): Fault {
  if (!isFault(error, 'vault.format-corrupt')) {
    throw error;
  }
  return unlock.kind === 'master-key'
    ? new Fault(
        'vault.wrong-passphrase',
        `The stored key does not open the vault at ${store.location}: it is another vault's, or ${formatKey} is damaged. Open it with the passphrase to tell.`,
        { location: store.location },
        { cause: error },
      )
    : error;
}

function whatOpens({ kind }: VaultUnlock): string {
  return { passphrase: 'passphrase', 'recovery-file': 'recovery file', 'master-key': 'stored key' }[
    kind
  ];
}

function wrong(store: ObjectStore, which: string): Fault {
  return new Fault(
    'vault.wrong-passphrase',
    `This ${which} does not open the vault at ${store.location}. Check for typing errors and that it belongs to this vault.`,
    { location: store.location },
  );
}

function outdated(store: ObjectStore, unlock: VaultUnlock): Fault {
  return new Fault(
    'vault.key-outdated',
    `The keys of the vault at ${store.location} were rotated since this ${whatOpens(unlock)} was made. Open it with a passphrase or recovery file of today.`,
    { location: store.location },
  );
}

/** What workers need to cut and to name chunks of the vault. */
export function chunkingSecrets({ keys, format }: UnlockedVault): ChunkingSecrets {
  const { chunker, chunkId, dedupDomain } = format;
  return {
    chunker,
    chunkId,
    chunkIdKey: keys.chunkId(dedupDomain),
    cutKey: keys.cut(dedupDomain),
  };
}

/**
 * Which vault there is, by what its format says in clear; nothing is proven.
 * @throws Fault `vault.not-found`, `vault.format-corrupt`, `vault.format-newer`
 */
export async function vaultIdAt(store: ObjectStore, signal: AbortSignal): Promise<string> {
  const key = await newestNumbered(store, PREFIXES.format, signal);
  const object = key === undefined ? undefined : await store.get(key, signal);
  if (key === undefined || object === undefined) {
    throw noVault(store);
  }
  const { vaultId, version } = claimedVault(key, object);
  refuseOtherVersion(version, key);
  return vaultId.toString('hex');
}

function noVault(store: ObjectStore): Fault {
  return new Fault(
    'vault.not-found',
    `There is no vault at ${store.location}. Check the location, or create a vault there.`,
    { location: store.location },
  );
}
