import { z } from 'zod';
import { Fault } from '../kernel/fault.ts';
import type { SecretStore } from '../kernel/secret-store.ts';
import { Semaphore } from '../kernel/waiting/semaphore.ts';
import type { StoreAddress, StoreCredentials } from '../vault/store/store-access.ts';

/** The roles of docs/roles.md. What each is used for stands there. */
export const STORE_ROLES = ['writer', 'restorer', 'collector', 'keeper', 'administrator'] as const;
export type StoreRole = (typeof STORE_ROLES)[number];
/** Whose credentials these are; `any` is used by every role without its own. */
export type CredentialsFor = StoreRole | 'any';

/** What may be shown of credentials. */
export interface ShownCredentials {
  readonly role: CredentialsFor;
  /** Id of the access key, without the secret; or the name of a profile. */
  readonly accessKeyId?: string;
  readonly profile?: string;
}

const Stored = z.partialRecord(
  z.enum(['any', ...STORE_ROLES]),
  z.union([
    z.strictObject({ profile: z.string() }),
    z.strictObject({
      accessKeyId: z.string(),
      secretAccessKey: z.string(),
      sessionToken: z.string().exactOptional(),
    }),
  ]),
);
type Stored = z.infer<typeof Stored>;

/**
 * Credentials for the stores of vaults, kept encrypted on this host. A vault without any uses what
 * the AWS chain of the service finds.
 */
export class VaultCredentials {
  /** One write at a time: two changes must not undo each other. */
  private readonly one = new Semaphore(1);

  constructor(private readonly secrets: SecretStore) {}

  /** Sets the credentials of a role, in place of earlier ones. Durable once it resolves. */
  async set(vaultId: string, role: CredentialsFor, given: StoreCredentials): Promise<void> {
    await this.change(vaultId, (stored) => ({ ...stored, [role]: given }));
  }

  /** @throws Fault `vault.credentials-unknown` if the role has none of its own */
  async remove(vaultId: string, role: CredentialsFor): Promise<void> {
    await this.change(vaultId, ({ [role]: removed, ...others }) => {
      if (removed === undefined) {
        throw new Fault(
          'vault.credentials-unknown',
          `This host has no credentials of the vault for the role ${role}.`,
          { role },
        );
      }
      return others;
    });
  }

  async removeAll(vaultId: string): Promise<void> {
    await this.change(vaultId, () => ({}));
  }

  /** Removes those of all roles, and sets those for any role if some are given. */
  async replaceAll(vaultId: string, any: StoreCredentials | undefined): Promise<void> {
    await this.change(vaultId, () => (any === undefined ? {} : { any }));
  }

  async list(vaultId: string): Promise<ShownCredentials[]> {
    const stored = await this.read(vaultId);
    return (['any', ...STORE_ROLES] as const).flatMap((role) => {
      const found = stored[role];
      if (found === undefined) {
        return [];
      }
      const { profile, accessKeyId } = { profile: undefined, accessKeyId: undefined, ...found };
      return [
        {
          role,
          ...(profile === undefined ? {} : { profile }),
          ...(accessKeyId === undefined ? {} : { accessKeyId }),
        },
      ];
    });
  }

  /**
   * Returns whose credentials a role uses: its own, or those of any. Roles for which this is the
   * same can share what they opened.
   */
  async used(vaultId: string, role: StoreRole): Promise<CredentialsFor> {
    return (await this.read(vaultId))[role] === undefined ? 'any' : role;
  }

  /** Whether some serve the role, or there are none at all. */
  async serves(vaultId: string, role: StoreRole): Promise<boolean> {
    const stored = await this.read(vaultId);
    return (stored[role] ?? stored.any) !== undefined || Object.keys(stored).length === 0;
  }

  /** Returns the place of a vault with the credentials of a role. */
  async applied<Place extends StoreAddress & { readonly id: string }>(
    place: Place,
    role: CredentialsFor,
  ): Promise<Place> {
    const stored = await this.read(place.id);
    const credentials = stored[role] ?? stored.any;
    return credentials === undefined ? place : { ...place, credentials };
  }

  private async read(vaultId: string): Promise<Stored> {
    const name = secretName(vaultId);
    const secret = await this.secrets.get(name);
    if (secret === undefined) {
      return {};
    }
    const found = Stored.safeParse(JSON.parse(Buffer.from(secret).toString('utf8')));
    if (!found.success) {
      throw new Fault(
        'secret.unreadable',
        'The stored credentials of the vault are of another version; set them again.',
        { name },
      );
    }
    return found.data;
  }

  private async change(vaultId: string, next: (stored: Stored) => Stored): Promise<void> {
    await this.one.run(async () => {
      const stored = next(await this.read(vaultId));
      const name = secretName(vaultId);
      if (Object.keys(stored).length === 0) {
        await this.secrets.remove(name);
      } else {
        await this.secrets.put(name, Buffer.from(JSON.stringify(stored)));
      }
    });
  }
}

function secretName(vaultId: string): string {
  return `credentials-${vaultId}`;
}
