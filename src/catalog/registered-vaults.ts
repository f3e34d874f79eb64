import { randomBytes } from 'node:crypto';
import { abortable } from '../kernel/abortable.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault, isFault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import type { SecretStore } from '../kernel/secret-store.ts';
import type { ObjectStore } from '../vault/object-store.ts';
import type { ObjectStores, StorePlace } from '../vault/object-stores.ts';
import type { OpenOptions, VaultParameters, VaultUnlock } from '../vault/vault-options.ts';
import { Vault } from '../vault/vault.ts';
import type { PointCatalog } from './point-catalog.ts';
import type { VaultRegistration, VaultRegistrations } from './vault-registrations.ts';

export interface RegisterVault extends StorePlace {
  readonly name: string;
}

export interface CreatedVault {
  readonly registration: VaultRegistration;
  /** Only when it was generated here. Shown once, kept nowhere. */
  readonly passphrase?: string;
  /** Opens the vault without the passphrase. Shown once, kept nowhere. */
  readonly recoveryFile: string;
}

export interface VaultsEnvironment {
  readonly secrets: SecretStore;
  readonly stores: ObjectStores;
  readonly clock: Clock;
  readonly log: Log;
  /** For every vault that is opened: where its footers are cached, how many workers. */
  readonly openOptions: OpenOptions;
  readonly parameters: Partial<VaultParameters>;
}

/** An open vault and the store it reads, which is ours to close. */
interface OpenVault {
  readonly vault: Vault;
  readonly store: ObjectStore;
}

/** 26 characters of base 32 are 130 random bits. */
const PASSPHRASE_CHARACTERS = 'abcdefghijkmnpqrstuvwxyz23456789';
const PASSPHRASE_GROUPS = [5, 5, 5, 5, 6];

/** Opens the registered vaults, keeps their keys on this host and their points in the catalog. */
export class RegisteredVaults {
  private readonly opened = new Map<string, Promise<OpenVault>>();
  /** Why a vault could not be opened the last time. */
  private readonly problems = new Map<string, string>();
  /** Opening serves everybody who waits, so it ends with the service and not with one job. */
  private readonly closing = new AbortController();

  constructor(
    private readonly registrations: VaultRegistrations,
    private readonly points: PointCatalog,
    private readonly environment: VaultsEnvironment,
  ) {}

  /** Makes a new vault at an empty place and registers it. */
  async create(
    request: RegisterVault,
    passphrase: string | undefined,
    signal: AbortSignal,
  ): Promise<CreatedVault> {
    await this.refuseTakenName(request.name);
    const store = await this.environment.stores.open(request, signal);
    const chosen = passphrase ?? generatePassphrase();
    const { vault, recoveryFile } = await closingOnFailure(store, () =>
      Vault.create(
        store,
        {
          ...this.environment.openOptions,
          name: request.name,
          passphrase: chosen,
          singleWriter: request.singleWriter,
          parameters: this.environment.parameters,
          probe: {},
        },
        signal,
      ),
    );
    const registration = await this.register(request, { vault, store });
    return {
      registration,
      recoveryFile,
      ...(passphrase === undefined ? { passphrase: chosen } : {}),
    };
  }

  /** Registers a vault that is already there; its points appear in the catalog. */
  async add(
    request: RegisterVault,
    unlock: VaultUnlock,
    signal: AbortSignal,
  ): Promise<VaultRegistration> {
    await this.refuseTakenName(request.name);
    const store = await this.environment.stores.open(request, signal);
    const vault = await closingOnFailure(store, () =>
      Vault.open(store, unlock, this.environment.openOptions, signal),
    );
    const registration = await this.register(request, { vault, store });
    await this.sync(registration.id, signal);
    return this.registrations.get(registration.id);
  }

  async list(): Promise<VaultRegistration[]> {
    return this.registrations.list();
  }

  /**
   * The vault of this id or name; without one, the only vault there is.
   * @throws Fault `vault.unknown`, `vault.not-chosen`
   */
  async choose(idOrName: string | undefined): Promise<VaultRegistration> {
    if (idOrName !== undefined) {
      return this.registrations.get(idOrName);
    }
    const [only, ...others] = await this.registrations.list();
    if (only === undefined || others.length > 0) {
      throw new Fault(
        'vault.not-chosen',
        only === undefined
          ? 'No vault is registered; make one with vault create.'
          : 'Several vaults are registered; say which one.',
      );
    }
    return only;
  }

  /** The vault itself, kept open for the next one who asks. */
  async open(vaultId: string, signal: AbortSignal): Promise<Vault> {
    let opening = this.opened.get(vaultId);
    if (opening === undefined) {
      opening = this.openStored(vaultId);
      this.opened.set(vaultId, opening);
      opening.then(
        () => this.problems.delete(vaultId),
        (error: unknown) => {
          // Who waits is told; the next one tries anew.
          this.opened.delete(vaultId);
          this.problems.set(vaultId, isFault(error) ? error.message : 'It could not be opened.');
        },
      );
    }
    return (await abortable(opening, signal)).vault;
  }

  /** Why the vault could not be opened the last time, for people; undefined when it could. */
  problemOf(vaultId: string): string | undefined {
    return this.problems.get(vaultId);
  }

  /** Makes the catalog show exactly the points that the vault has now. */
  async sync(vaultId: string, signal: AbortSignal): Promise<void> {
    const vault = await this.open(vaultId, signal);
    const points = await vault.points(signal);
    await this.points.replace(vaultId, points);
    await this.registrations.markSynced(vaultId, this.environment.clock.nowMs());
  }

  /** Forgets the vault and its key on this host. The vault itself stays as it is. */
  async forget(vaultId: string): Promise<void> {
    const open = this.opened.get(vaultId);
    this.opened.delete(vaultId);
    await this.registrations.remove(vaultId);
    await this.points.replace(vaultId, []);
    await this.environment.secrets.remove(secretName(vaultId));
    await closeAll(await open);
  }

  async close(): Promise<void> {
    this.closing.abort();
    const settled = await Promise.allSettled(this.opened.values());
    this.opened.clear();
    for (const result of settled) {
      if (result.status === 'fulfilled') {
        await closeAll(result.value);
      }
    }
  }

  /** The key first: a row without a key would be a vault that cannot be opened. */
  private async register(request: RegisterVault, open: OpenVault): Promise<VaultRegistration> {
    const { vault } = open;
    const registration: VaultRegistration = {
      ...request,
      id: vault.id,
      createdAtMs: this.environment.clock.nowMs(),
    };
    const known = (await this.registrations.list()).some(({ id }) => id === vault.id);
    const key = vault.exportKey();
    try {
      if (!known) {
        await this.environment.secrets.put(secretName(vault.id), key);
      }
      await this.registrations.add(registration);
    } catch (error) {
      await closeAll(open);
      throw error;
    }
    this.opened.set(vault.id, Promise.resolve(open));
    this.environment.log.info('vault.registered', {
      vaultId: vault.id,
      name: request.name,
      location: request.location,
    });
    return registration;
  }

  private async openStored(vaultId: string): Promise<OpenVault> {
    const registration = await this.registrations.get(vaultId);
    const key = await this.environment.secrets.get(secretName(vaultId));
    if (key === undefined) {
      throw new Fault(
        'vault.key-missing',
        `This host has no key of the vault ${registration.name}; forget it and register it again with its passphrase.`,
        { vault: registration.name },
      );
    }
    const { signal } = this.closing;
    const store = await this.environment.stores.open(registration, signal);
    const vault = await closingOnFailure(store, () =>
      Vault.open(store, { kind: 'master-key', key }, this.environment.openOptions, signal),
    );
    return { vault, store };
  }

  private async refuseTakenName(name: string): Promise<void> {
    const taken = (await this.registrations.list()).some((vault) => vault.name === name);
    if (taken) {
      throw new Fault('vault.name-taken', `A vault ${name} is registered already.`, { name });
    }
  }
}

function secretName(vaultId: string): string {
  return `vault-${vaultId}`;
}

function generatePassphrase(): string {
  return PASSPHRASE_GROUPS.map((length) =>
    // 32 characters: the low five bits of a random byte choose one evenly.
    [...randomBytes(length)].map((byte) => PASSPHRASE_CHARACTERS[byte % 32]).join(''),
  ).join('-');
}

async function closeAll(open: OpenVault | undefined): Promise<void> {
  await open?.vault.close();
  await open?.store.close();
}

async function closingOnFailure<T>(store: ObjectStore, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    await store.close();
    throw error;
  }
}
