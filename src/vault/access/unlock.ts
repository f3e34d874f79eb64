import { Fault, isFault } from '../../kernel/fault.ts';
import {
  claimedVault,
  decodeFormat,
  retentionKey,
  retentionKeyOfSeed,
  type ClaimedVault,
  type VaultFormat,
} from '../control/format-object.ts';
import { refuseOtherVersion } from '../format/format-version.ts';
import { KEY_BYTES, KeyTree } from '../keys/key-tree.ts';
import { Attempts, openedBy, type Opened } from './key-search.ts';
import { PREFIXES } from '../format/object-names.ts';
import { newestNumbered } from '../format/numbered-objects.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import type { ChunkingSecrets } from '../tasks/store-task.ts';
import type { VaultUnlock } from '../keys/vault-unlock.ts';

export interface UnlockedVault {
  readonly keys: KeyTree;
  readonly format: VaultFormat;
  readonly formatKey: ObjectKey;
  /** The key object that opened the vault; undefined for the stored master key. */
  readonly openedBy?: ObjectKey;
  /** Seed of a separate retention key, if it was opened. */
  readonly seed?: Uint8Array;
}

/** What opens the vault, and what opens its separate retention key. */
export interface Unlocks {
  readonly vault: VaultUnlock;
  readonly retention?: VaultUnlock;
}

/**
 * Finds the format of the vault at `store`, and proves that `unlock` opens it.
 * @throws Fault `vault.not-found`, `vault.wrong-passphrase`, `vault.key-corrupt`,
 *   `vault.key-outdated`, `vault.format-corrupt`, `vault.format-newer`
 */
export async function unlockVault(
  store: ObjectStore,
  unlocks: Unlocks,
  signal: AbortSignal,
): Promise<UnlockedVault> {
  const claimed = await claimedFormat(store, signal);
  const attempts = new Attempts();
  const refusals: Fault[] = [];
  const wanted = { vaultId: claimed.vaultId, purpose: 'vault', attempts } as const;
  for await (const opened of openedBy(store, unlocks.vault, wanted, signal)) {
    const unlocked = await unlockWith(opened, { store, claimed, unlocks }, signal);
    if (!isFault(unlocked)) {
      return unlocked;
    }
    refusals.push(unlocked);
  }
  // What was opened and did not fit says more than what could not be read.
  const failure = refusals.at(-1) ?? attempts.damaged[0];
  if (failure === undefined) {
    // A later program may wrap keys in another way.
    refuseOtherVersion(claimed.version, claimed.key);
  }
  throw failure ?? wrong(store, whatOpens(unlocks.vault), attempts);
}

/** The format object in use, and what it claims in clear; nothing is proven. */
interface ClaimedFormat extends ClaimedVault {
  readonly key: ObjectKey;
  readonly object: Uint8Array;
}

async function claimedFormat(store: ObjectStore, signal: AbortSignal): Promise<ClaimedFormat> {
  const key = await newestNumbered(store, PREFIXES.format, signal);
  const object = key === undefined ? undefined : await store.get(key, signal);
  if (key === undefined || object === undefined) {
    throw new Fault(
      'vault.not-found',
      `There is no vault at ${store.location}. Check the location, or create a vault there.`,
      { location: store.location },
    );
  }
  return { ...claimedVault(key, object), key, object };
}

interface Opening {
  readonly store: ObjectStore;
  readonly claimed: ClaimedFormat;
  readonly unlocks: Unlocks;
}

/** Returns the vault if this secret opens its format, or the fault that says why it does not. */
async function unlockWith(
  { secret, key: openedBy }: Opened,
  { store, claimed, unlocks }: Opening,
  signal: AbortSignal,
): Promise<UnlockedVault | Fault> {
  const { vaultId, keyVersion, key: formatKey, object } = claimed;
  if (secret.length <= keyVersion * KEY_BYTES) {
    return outdated(store, unlocks.vault);
  }
  try {
    const format = decodeFormat(new KeyTree(secret, vaultId), formatKey, object);
    const seed = await seedOf(store, format, unlocks, signal);
    return {
      keys: keysOf(secret, format, seed),
      format,
      formatKey,
      ...(openedBy === undefined ? {} : { openedBy }),
      ...(seed === undefined ? {} : { seed }),
    };
  } catch (error) {
    return formatFault(store, unlocks.vault, formatKey, error);
  }
}

function keysOf(keyring: Uint8Array, format: VaultFormat, seed: Uint8Array | undefined): KeyTree {
  const vaultId = Buffer.from(format.vaultId, 'hex');
  const version = format.keyVersion;
  const derived = new KeyTree(keyring, vaultId, { version }).retentionSeed(version);
  const signing = retentionKeyOfSeed(format, seed ?? derived);
  return new KeyTree(keyring, vaultId, { version, retention: signing ?? retentionKey(format) });
}

/** Returns the seed of a separate retention key. A recovery file opens it too. */
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
  const attempts = new Attempts();
  const vaultId = Buffer.from(format.vaultId, 'hex');
  const wanted = { vaultId, purpose: 'retention', attempts } as const;
  for await (const { secret } of openedBy(store, unlock, wanted, signal)) {
    if (retentionKeyOfSeed(format, secret) !== undefined) {
      return secret;
    }
  }
  if (retention === undefined) {
    return undefined;
  }
  throw wrong(store, `retention ${whatOpens(unlock)}`, attempts);
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

function wrong({ location }: ObjectStore, which: string, { tried, left }: Attempts): Fault {
  if (left > 0) {
    return new Fault(
      'vault.wrong-passphrase',
      `This ${which} opens none of the ${tried} key objects at ${location} that were tried; ${left} were not, because each costs time. Somebody put more there than a vault has. Name yours with --key (what follows keys/ in its name), or open the vault with its recovery file.`,
      { location, tried, left },
    );
  }
  return new Fault(
    'vault.wrong-passphrase',
    `This ${which} does not open the vault at ${location}. Check for typing errors and that it belongs to this vault.`,
    { location },
  );
}

function outdated(store: ObjectStore, unlock: VaultUnlock): Fault {
  return new Fault(
    'vault.key-outdated',
    `The keys of the vault at ${store.location} were rotated since this ${whatOpens(unlock)} was made. Open it with a passphrase or recovery file of today.`,
    { location: store.location },
  );
}

/** Returns what workers need to cut and name chunks of the vault. */
export function chunkingSecrets({
  keys,
  format,
}: Pick<UnlockedVault, 'keys' | 'format'>): ChunkingSecrets {
  const { chunker, chunkId, dedupDomain } = format;
  return {
    chunker,
    chunkId,
    chunkIdKey: keys.chunkId(dedupDomain),
    cutKey: keys.cut(dedupDomain),
  };
}

/**
 * Returns the id of the vault that the format claims in clear; nothing is proven.
 * @throws Fault `vault.not-found`, `vault.format-corrupt`, `vault.format-newer`
 */
export async function vaultIdAt(store: ObjectStore, signal: AbortSignal): Promise<string> {
  const { vaultId, version, key } = await claimedFormat(store, signal);
  refuseOtherVersion(version, key);
  return vaultId.toString('hex');
}
