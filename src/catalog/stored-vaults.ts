import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { IdleMemory } from '../kernel/memory/idle-memory.ts';
import type { Log } from '../kernel/log.ts';
import type { SecretStore } from '../kernel/secret-store.ts';
import type { Spending } from '../vault/budget/spending.ts';
import type { ObjectStore } from '../vault/store/object-store.ts';
import type { StoreAccess } from '../vault/store/store-access.ts';
import type { OpenOptions, VaultParameters } from '../vault/access/vault-options.ts';
import { Vault } from '../vault/vault.ts';
import type { CredentialsFor, StoreRole, VaultCredentials } from './vault-credentials.ts';
import { addCommand, type VaultRegistration } from './vault-registrations.ts';

export interface VaultsEnvironment {
  readonly secrets: SecretStore;
  readonly credentials: VaultCredentials;
  readonly stores: StoreAccess;
  readonly clock: Clock;
  readonly log: Log;
  /** Collects garbage when no vault is used. */
  readonly memory: IdleMemory;
  /** Options for every vault: where its footers are cached, how many workers. */
  readonly openOptions: OpenOptions;
  readonly parameters: Partial<VaultParameters>;
}

/** An open vault and its store, which the owner closes too. */
export interface OpenVault {
  readonly vault: Vault;
  readonly store: ObjectStore;
}

/** A vault opened for one job only: the job's requests are counted apart. */
export interface VaultApart extends OpenVault, AsyncDisposable {
  readonly registration: VaultRegistration;
  /** Folder on this host that may be deleted at any time. */
  readonly cacheFolder: string | undefined;
}

export interface ApartOptions {
  readonly spending: Spending;
  /** Opens the separate retention key, if the vault has one. */
  readonly retentionPassphrase?: string | undefined;
  /** Whose credentials the job uses at the store. */
  readonly role: StoreRole;
}

type Environment = Pick<VaultsEnvironment, 'secrets' | 'stores' | 'openOptions' | 'credentials'>;

interface OpenStored extends Partial<Omit<ApartOptions, 'role'>> {
  readonly role: CredentialsFor;
}

/** Opens a registered vault with the key that this host keeps. */
export async function openStored(
  { secrets, credentials, stores, openOptions }: Environment,
  registration: VaultRegistration,
  { spending, retentionPassphrase, role }: OpenStored,
  signal: AbortSignal,
): Promise<OpenVault> {
  const { id, endpoint } = registration;
  const key = await secrets.get(secretName(id));
  if (key === undefined) {
    throw keyMissing(registration);
  }
  const meter = spending && ((metered: ObjectStore) => spending.meter(metered, endpoint));
  const place = await credentials.applied(registration, role);
  const store = await stores.open(place, signal, meter);
  const options: OpenOptions =
    retentionPassphrase === undefined
      ? openOptions
      : { ...openOptions, retention: { kind: 'passphrase', passphrase: retentionPassphrase } };
  const vault = await closingOnFailure(store, () =>
    Vault.open(store, { kind: 'master-key', key }, options, signal),
  );
  return { vault, store };
}

/** Another host registered the vault, or the key was lost with the home. */
export function keyMissing(vault: VaultRegistration): Fault {
  return new Fault(
    'vault.key-missing',
    `This host has no key of the vault ${vault.name}. Give it one with the passphrase: ${addCommand(vault)}`,
    { vault: vault.name },
  );
}

/** Returns the name under which this host keeps the key of a vault. */
export function secretName(vaultId: string): string {
  return `vault-${vaultId}`;
}

export async function closeAll(open: OpenVault | undefined): Promise<void> {
  await open?.vault.close();
  await open?.store.close();
}

export async function closingOnFailure<T>(store: ObjectStore, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    await store.close();
    throw error;
  }
}
