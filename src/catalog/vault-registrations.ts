import { QueryFailedError, type DataSource } from 'typeorm';
import { findNamed } from '../kernel/text/by-prefix.ts';
import { Fault } from '../kernel/fault.ts';
import { VaultRow } from './rows/vault.row.ts';

/** Where a registered vault is. */
export interface VaultRegistration {
  /** The vault's own id. */
  readonly id: string;
  readonly name: string;
  readonly location: string;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  /** Only this host writes, so the store may be one whose LIST lags for others. */
  readonly singleWriter: boolean;
  readonly createdAtMs: number;
  /** When its points were last copied to the catalog. */
  readonly syncedAtMs?: number;
  /** Whether the key that hosts keep of it includes its retention key, as last seen. */
  readonly canGiveUp?: boolean;
  /** Whether it locks its objects, as last seen. */
  readonly locked?: boolean;
  /** When somebody began to destroy it: since then nobody else uses it. */
  readonly destroyingAtMs?: number;
}

/** What is seen of a vault whenever it is listed. */
export interface SeenVault {
  readonly canGiveUp: boolean;
  readonly locked: boolean;
}

/** SQLSTATE of PostgreSQL. */
const UNIQUE_VIOLATION = '23505';

/** The vaults that this service knows. */
export class VaultRegistrations {
  constructor(private readonly source: DataSource) {}

  /** @throws Fault `vault.name-taken` if the name or the vault is registered already */
  async add(registration: VaultRegistration): Promise<void> {
    const row = new VaultRow();
    row.id = registration.id;
    row.name = registration.name;
    row.location = registration.location;
    row.endpoint = registration.endpoint ?? null;
    row.region = registration.region ?? null;
    row.singleWriter = registration.singleWriter;
    row.destroyingAtMs = null;
    row.listed = 0;
    row.createdAtMs = registration.createdAtMs;
    row.syncedAtMs = registration.syncedAtMs ?? null;
    row.canGiveUp = registration.canGiveUp ?? null;
    row.locked = registration.locked ?? null;
    try {
      await this.source.getRepository(VaultRow).insert(row);
    } catch (error) {
      if (isUniqueViolation(error)) {
        throw new Fault(
          'vault.name-taken',
          `The vault or its name ${registration.name} is registered already; see vault list.`,
          { name: registration.name },
          { cause: error },
        );
      }
      throw error;
    }
  }

  /** Lists the vaults by name. */
  async list(): Promise<VaultRegistration[]> {
    const rows = await this.source.getRepository(VaultRow).find({ order: { name: 'ASC' } });
    return rows.map(fromRow);
  }

  /**
   * Returns the vault with this name or id, or the only one whose id begins so.
   * @throws Fault `vault.unknown`, `request.invalid` if several ids begin so
   */
  async get(idOrName: string): Promise<VaultRegistration> {
    const all = await this.list();
    const found = findNamed(all, idOrName);
    if (found === undefined) {
      throw new Fault(
        'vault.unknown',
        `No vault ${idOrName} is registered; vault list shows those that are.`,
        { vault: idOrName },
      );
    }
    return found;
  }

  async markSynced(id: string, syncedAtMs: number, seen: SeenVault): Promise<void> {
    await this.source.getRepository(VaultRow).update({ id }, { syncedAtMs, ...seen });
  }

  async remove(id: string): Promise<void> {
    await this.source.getRepository(VaultRow).delete({ id });
  }
}

function fromRow(row: VaultRow): VaultRegistration {
  return {
    id: row.id,
    name: row.name,
    location: row.location,
    ...(row.endpoint === null ? {} : { endpoint: row.endpoint }),
    ...(row.region === null ? {} : { region: row.region }),
    singleWriter: row.singleWriter,
    createdAtMs: row.createdAtMs,
    ...(row.syncedAtMs === null ? {} : { syncedAtMs: row.syncedAtMs }),
    ...(row.canGiveUp === null ? {} : { canGiveUp: row.canGiveUp }),
    ...(row.locked === null ? {} : { locked: row.locked }),
    ...(row.destroyingAtMs === null ? {} : { destroyingAtMs: row.destroyingAtMs }),
  };
}

/** Returns the command that gives a host the key of a vault. */
export function addCommand({ name, location, endpoint }: VaultRegistration): string {
  const place = `--location ${location}${endpoint === undefined ? '' : ` --endpoint ${endpoint}`}`;
  return `hyperkeep vault add ${name} ${place}`;
}

export function isUniqueViolation(error: unknown): boolean {
  return (
    error instanceof QueryFailedError &&
    (error.driverError as { code?: unknown }).code === UNIQUE_VIOLATION
  );
}
