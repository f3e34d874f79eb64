import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { IdleMemory } from '../kernel/memory/idle-memory.ts';
import type { Log } from '../kernel/log.ts';
import type { SecretStore } from '../kernel/secret-store.ts';
import type { Spending } from '../vault/budget/spending.ts';
import type { Capabilities } from '../vault/probe/capabilities.ts';
import type { ObjectStore } from '../vault/store/object-store.ts';
import type { StoreAccess } from '../vault/store/store-access.ts';
import type { OpenOptions, VaultParameters } from '../vault/access/vault-options.ts';
import { beingDestroyed, refuseDestroyed } from '../vault/destroy/destruction-mark.ts';
import type { VaultUnlock } from '../vault/keys/vault-unlock.ts';
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

export interface CreatedVault {
  readonly registration: VaultRegistration;
  /** Only if it was generated here. Shown once, stored nowhere. */
  readonly passphrase?: string;
  /** Opens the vault without the passphrase. Shown once, stored nowhere. */
  readonly recoveryFile: string;
  /** What the store was seen to do; the vault keeps it too. */
  readonly capabilities?: Capabilities;
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
  /** Opens it though somebody has begun to destroy it. */
  readonly evenDestroyed?: boolean;
}

/** The place of a vault, opened for one job without a key. The job disposes of it. */
export interface VaultPlace extends AsyncDisposable {
  readonly store: ObjectStore;
}

type Environment = Pick<VaultsEnvironment, 'secrets' | 'stores' | 'openOptions' | 'credentials'>;

interface OpenStored extends Partial<Omit<ApartOptions, 'role'>> {
  readonly role: CredentialsFor;
}

/** Opens a registered vault with the key that this host keeps. */
export async function openStored(
  { secrets, credentials, stores, openOptions }: Environment,
  registration: VaultRegistration,
  { retentionPassphrase, evenDestroyed, ...asked }: OpenStored,
  signal: AbortSignal,
): Promise<OpenVault> {
  const { id } = registration;
  if (evenDestroyed !== true) {
    refuseDestroying(registration);
  }
  const key = await secrets.get(secretName(id));
  if (key === undefined) {
    throw keyMissing(registration);
  }
  const store = await openPlace({ stores, credentials }, registration, asked, signal);
  const options: OpenOptions =
    retentionPassphrase === undefined
      ? openOptions
      : { ...openOptions, retention: { kind: 'passphrase', passphrase: retentionPassphrase } };
  const unlock = { kind: 'master-key', key } as const;
  const open = evenDestroyed === true ? Vault.open.bind(Vault) : openWhole;
  const vault = await closingOnFailure(store, () => open(store, unlock, options, signal));
  return { vault, store };
}

/** Opens the place of a registered vault, whatever is there. */
async function openPlace(
  { credentials, stores }: Pick<Environment, 'credentials' | 'stores'>,
  registration: VaultRegistration,
  { spending, role }: Pick<OpenStored, 'spending' | 'role'>,
  signal: AbortSignal,
): Promise<ObjectStore> {
  const { endpoint } = registration;
  const meter = spending && ((metered: ObjectStore) => spending.meter(metered, endpoint));
  return stores.open(await credentials.applied(registration, role), signal, meter);
}

/** Opens a vault. @throws Fault `vault.being-destroyed` if somebody has begun to destroy it */
export async function openWhole(
  store: ObjectStore,
  unlock: VaultUnlock,
  options: OpenOptions,
  signal: AbortSignal,
): Promise<Vault> {
  const vault = await Vault.open(store, unlock, options, signal);
  const { base, log } = vault.inside;
  try {
    await refuseDestroyed(base, log, signal);
    return vault;
  } catch (error) {
    await vault.close();
    throw error;
  }
}

/** Opens the place of a registered vault for one job. */
export async function placeOf(
  environment: Pick<Environment, 'credentials' | 'stores'>,
  registration: VaultRegistration,
  options: Pick<ApartOptions, 'spending' | 'role'>,
  signal: AbortSignal,
): Promise<VaultPlace> {
  await using held = new AsyncDisposableStack();
  const store = await openPlace(environment, registration, options, signal);
  held.adopt(store, async (opened) => opened.close());
  return Object.assign(held.move(), { store });
}

/** @throws Fault `vault.being-destroyed` if a service of this database has begun to destroy it */
export function refuseDestroying({ location, destroyingAtMs }: VaultRegistration): void {
  if (destroyingAtMs !== undefined) {
    throw beingDestroyed(location);
  }
}

/** Returns what people are told of a vault that is being destroyed. */
export function destroyingText({ name, destroyingAtMs }: VaultRegistration): string | undefined {
  return destroyingAtMs === undefined
    ? undefined
    : `It is being destroyed; go on with: hyperkeep vault destroy ${name}`;
}

/** A host more asks for the key of a vault that only one may write. */
export function singleWriterOnly({ name }: VaultRegistration): Fault {
  return new Fault(
    'vault.store-unfit',
    `The vault ${name} was made for one writing host (--single-writer), because its store may answer others late; this host gets no key of it. Give it a vault of its own. If this is that host and it lost its key, forget the vault and add it again.`,
    { vault: name },
  );
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
