import { Fault, isFault } from '../kernel/fault.ts';
import { generatePassphrase } from '../kernel/text/generated-passphrase.ts';
import type { LockPolicy } from '../vault/store/locking-store.ts';
import type { StoreAddress, StoreCredentials } from '../vault/store/store-access.ts';
import { placeKey } from '../vault/store/store-health.ts';
import type { VaultUnlock } from '../vault/keys/vault-unlock.ts';
import { Vault } from '../vault/vault.ts';
import { cataloguePoints } from './catalogue-points.ts';
import { OpenVaults, type HeldVault, type VaultUse } from './open-vaults.ts';
import type { PointCatalog } from './point-catalog.ts';
import {
  closeAll,
  closingOnFailure,
  openStored,
  openWhole,
  placeOf,
  destroyingText,
  refuseDestroying,
  singleWriterOnly,
  keyMissing,
  secretName,
  type ApartOptions,
  type CreatedVault,
  type OpenVault,
  type VaultApart,
  type VaultPlace,
  type VaultsEnvironment,
} from './stored-vaults.ts';
import type { CredentialsFor, ShownCredentials, StoreRole } from './vault-credentials.ts';
import type { SeenVault, VaultRegistration, VaultRegistrations } from './vault-registrations.ts';

export interface RegisterVault extends StoreAddress {
  readonly name: string;
}

/** Secrets for a new vault; registering an existing one cannot set them. */
export interface NewVaultSecrets {
  /** Generated if left out. */
  readonly passphrase?: string | undefined;
  /** Makes a separate retention key, which this host does not keep. */
  readonly retentionPassphrase?: string | undefined;
  readonly lock?: LockPolicy | undefined;
}

/** Closes vaults unused for this long; reopening one of 10 TiB takes 2 to 3 s. */
const UNUSED_MS = 600_000;

/**
 * Opens the registered vaults, and keeps their keys on this host and their points in the catalog.
 */
export class RegisteredVaults {
  private readonly opened: OpenVaults;
  /** Why a vault could not be opened at the last attempt. */
  private readonly problems = new Map<string, string>();
  private readonly accessListeners: (() => Promise<unknown>)[] = [];
  /**
   * Opening serves every waiting caller, so the end of the service stops it, and not that of one
   * job.
   */
  private readonly closing = new AbortController();

  constructor(
    private readonly registrations: VaultRegistrations,
    private readonly points: PointCatalog,
    private readonly environment: VaultsEnvironment,
  ) {
    const { memory, log } = environment;
    this.opened = new OpenVaults((use) => this.openForAll(use), UNUSED_MS, log);
    memory.onRest(async () => this.opened.rest());
  }

  /** Makes a new vault at an empty place and registers it. */
  async create(
    request: RegisterVault,
    { passphrase, retentionPassphrase, lock }: NewVaultSecrets,
    signal: AbortSignal,
  ): Promise<CreatedVault> {
    await this.refuseTakenName(request);
    await this.environment.stores.contact(request, signal);
    const store = await this.environment.stores.open(request, signal);
    const chosen = passphrase ?? generatePassphrase();
    const { vault, recoveryFile, capabilities } = await closingOnFailure(store, () =>
      Vault.create(
        store,
        {
          ...this.environment.openOptions,
          name: request.name,
          passphrase: chosen,
          singleWriter: request.singleWriter,
          parameters: this.environment.parameters,
          probe: {},
          ...(retentionPassphrase === undefined ? {} : { retentionPassphrase }),
          ...(lock === undefined ? {} : { lock }),
        },
        signal,
      ),
    );
    const registration = await this.register(request, { vault, store });
    return {
      registration,
      recoveryFile,
      ...(capabilities === undefined ? {} : { capabilities }),
      ...(passphrase === undefined ? { passphrase: chosen } : {}),
    };
  }

  /**
   * Registers an existing vault; its points appear in the catalog. If another host has registered
   * it under this name, this host gets its key.
   */
  async add(
    request: RegisterVault,
    unlock: VaultUnlock,
    signal: AbortSignal,
  ): Promise<VaultRegistration> {
    if (!(await this.lacksOnlyKey(request))) {
      await this.refuseTakenName(request);
    }
    await this.environment.stores.contact(request, signal);
    const store = await this.environment.stores.open(request, signal);
    const vault = await closingOnFailure(store, () =>
      openWhole(store, unlock, this.environment.openOptions, signal),
    );
    const registration = await this.register(request, { vault, store });
    await this.sync(registration.id, signal);
    return this.registrations.get(registration.id);
  }

  async list(): Promise<VaultRegistration[]> {
    return this.registrations.list();
  }

  /**
   * Returns the vault with this id or name; without one, the only vault.
   * @throws Fault `vault.unknown`, `vault.not-chosen`
   */
  async choose(idOrName: string | undefined): Promise<VaultRegistration> {
    if (idOrName !== undefined) {
      return this.registrations.get(idOrName);
    }
    const all = await this.registrations.list();
    const [only, ...others] = all;
    if (only === undefined || others.length > 0) {
      const names = all.map(({ name }) => name).join(', ');
      throw new Fault(
        'vault.not-chosen',
        only === undefined
          ? 'The service knows no vault. Make one with "hyperkeep vault create", or make one that exists known with "hyperkeep vault add".'
          : `The service knows several vaults (${names}). Say which with --vault.`,
      );
    }
    return only;
  }

  /**
   * Returns the vault, opened with what the role may use; it stays open for the next caller. The
   * caller disposes of its hold.
   */
  async open(vaultId: string, role: StoreRole, signal: AbortSignal): Promise<HeldVault> {
    using held = new DisposableStack();
    held.use(this.environment.memory.enter());
    refuseDestroying(await this.registrations.get(vaultId));
    const used = await this.environment.credentials.used(vaultId, role);
    const { vault } = held.use(await this.opened.hold({ vaultId, used }, signal));
    return Object.assign(held.move(), { vault });
  }

  private async openForAll({ vaultId, used: role }: VaultUse): Promise<OpenVault> {
    try {
      const registration = await this.registrations.get(vaultId);
      const { signal } = this.closing;
      const opened = await openStored(this.environment, registration, { role }, signal);
      this.problems.delete(vaultId);
      return opened;
    } catch (error) {
      this.problems.set(vaultId, isFault(error) ? error.message : 'It could not be opened.');
      throw error;
    }
  }

  /** Opens the vault for one job, with a store of its own. The job disposes of it. */
  async openApart(
    vaultId: string,
    options: ApartOptions,
    signal: AbortSignal,
  ): Promise<VaultApart> {
    const registration = await this.registrations.get(vaultId);
    await using held = new AsyncDisposableStack();
    held.use(this.environment.memory.enter());
    const open = await openStored(this.environment, registration, options, signal);
    held.adopt(open, closeAll);
    const { cacheFolder } = this.environment.openOptions;
    return Object.assign(held.move(), { ...open, registration, cacheFolder });
  }

  /** Opens the place of the vault for one job, whatever is there. The job disposes of it. */
  async openPlace(
    vaultId: string,
    options: Pick<ApartOptions, 'spending' | 'role'>,
    signal: AbortSignal,
  ): Promise<VaultPlace> {
    return placeOf(this.environment, await this.registrations.get(vaultId), options, signal);
  }

  /**
   * Returns why the vault cannot be used on this host now, or could not be opened at the last
   * attempt, for people.
   */
  async problemOf(vault: VaultRegistration): Promise<string | undefined> {
    const { health } = this.environment.stores;
    return (await this.hasKey(vault.id))
      ? (destroyingText(vault) ?? health.troubleOf(vault)?.text ?? this.problems.get(vault.id))
      : keyMissing(vault).message;
  }

  /** Calls `listener` when the store of a vault goes away and when it is back. */
  onTrouble(listener: (vaultId: string, trouble: string | undefined) => void): void {
    const { stores, log } = this.environment;
    stores.health.onChange((place, trouble) => {
      this.registrations.list().then(
        (all) => {
          for (const { id } of all.filter((vault) => placeKey(vault) === place)) {
            listener(id, trouble?.text);
          }
        },
        (error: unknown) => {
          log.debug('store.trouble-not-told', { error });
        },
      );
    });
  }

  /** Calls `listener` when this host got or lost a key or credentials. */
  onAccess(listener: () => Promise<unknown>): void {
    this.accessListeners.push(listener);
  }

  private async tellAccess(): Promise<void> {
    for (const listener of this.accessListeners) {
      await listener().catch((error: unknown) => {
        this.environment.log.warn('vault.access-not-told', { error });
      });
    }
  }

  /**
   * Makes the catalog show exactly the points that the vault has now.
   * @throws Fault `vault.list-incomplete` if the vault lists fewer points than it has: the catalog
   *   stays as it is then
   */
  async sync(vaultId: string, signal: AbortSignal): Promise<void> {
    using held = await this.open(vaultId, 'writer', signal);
    await cataloguePoints(held.vault, this.points, this.environment.log, signal);
    const seen = seenOf(held.vault);
    await this.registrations.markSynced(vaultId, this.environment.clock.nowMs(), seen);
  }

  /**
   * Sets the credentials of a role, after the store has answered to them. What is under way goes on
   * with the earlier ones; what is opened from now on uses these.
   * @throws Fault `store.denied`, `store.unreachable`: nothing was changed
   */
  async setCredentials(
    vaultId: string,
    role: CredentialsFor,
    given: StoreCredentials,
    signal: AbortSignal,
  ): Promise<void> {
    const { stores, credentials, log } = this.environment;
    const place = await this.registrations.get(vaultId);
    await stores.contact({ ...place, credentials: given }, signal);
    await credentials.set(vaultId, role, given);
    this.opened.renew(vaultId);
    await this.tellAccess();
    log.info('vault.credentials-set', { vaultId, role });
  }

  /** @throws Fault `vault.credentials-unknown` */
  async removeCredentials(vaultId: string, role: CredentialsFor): Promise<void> {
    await this.environment.credentials.remove(vaultId, role);
    this.opened.renew(vaultId);
    await this.tellAccess();
    this.environment.log.info('vault.credentials-removed', { vaultId, role });
  }

  async credentialsOf(vaultId: string): Promise<ShownCredentials[]> {
    return this.environment.credentials.list(vaultId);
  }

  /** Forgets the vault and its key on this host. The vault itself stays as it is. */
  async forget(vaultId: string): Promise<void> {
    await this.registrations.remove(vaultId);
    await this.points.forget(vaultId);
    await this.environment.secrets.remove(secretName(vaultId));
    await this.environment.credentials.removeAll(vaultId);
    await this.opened.close(vaultId);
    this.problems.delete(vaultId);
    await this.tellAccess();
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.opened.closeAll();
  }

  /**
   * Stores the key first: a row without a key would be a vault that cannot be opened. The
   * credentials come before it and are those given here: what a crash left is never used.
   */
  private async register(request: RegisterVault, open: OpenVault): Promise<VaultRegistration> {
    const { vault } = open;
    const { credentials, ...place } = request;
    const registration: VaultRegistration = {
      ...place,
      id: vault.id,
      createdAtMs: this.environment.clock.nowMs(),
      ...seenOf(vault),
    };
    const known = (await this.registrations.list()).find(({ id }) => id === vault.id);
    const joins = known !== undefined && (await this.lacksOnlyKey(request));
    if (joins && known.singleWriter) {
      await closeAll(open);
      throw singleWriterOnly(known);
    }
    const key = vault.exportKey();
    try {
      if (known === undefined || joins) {
        await this.environment.credentials.replaceAll(vault.id, credentials);
        await this.environment.secrets.put(secretName(vault.id), key);
      }
      if (!joins) {
        await this.registrations.add(registration);
      }
    } catch (error) {
      await closeAll(open);
      throw error;
    }
    this.problems.delete(vault.id);
    this.opened.adopt({ vaultId: vault.id, used: 'any' }, open);
    await this.tellAccess();
    this.environment.log.info('vault.registered', {
      vaultId: vault.id,
      name: request.name,
      location: request.location,
    });
    return registration;
  }

  /** Whether this host can open the vault. */
  async hasKey(vaultId: string): Promise<boolean> {
    return (await this.environment.secrets.get(secretName(vaultId))) !== undefined;
  }

  /**
   * Whether this host has what the role needs: the key of the vault, and credentials. Where it has
   * none at all the AWS settings count, and only the store knows what they are worth.
   */
  async canAct(vaultId: string, role: StoreRole): Promise<boolean> {
    return (
      (await this.hasKey(vaultId)) && (await this.environment.credentials.serves(vaultId, role))
    );
  }

  /** True if the vault is registered under this name and place, and this host has no key of it. */
  private async lacksOnlyKey({ name, location, endpoint }: RegisterVault): Promise<boolean> {
    const found = (await this.registrations.list()).find((vault) => vault.name === name);
    return (
      found?.location === location && found.endpoint === endpoint && !(await this.hasKey(found.id))
    );
  }

  private async refuseTakenName({ name }: RegisterVault): Promise<void> {
    const taken = (await this.registrations.list()).some((vault) => vault.name === name);
    if (taken) {
      throw new Fault('vault.name-taken', `A vault ${name} is registered already.`, { name });
    }
  }
}

function seenOf({ inside: { format } }: Vault): SeenVault {
  return { canGiveUp: !format.retention.separate, locked: format.lock !== undefined };
}
