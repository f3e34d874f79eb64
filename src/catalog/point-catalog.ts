import {
  LessThanOrEqual,
  Like,
  QueryFailedError,
  type DataSource,
  type EntityManager,
  type FindOptionsWhere,
} from 'typeorm';
import type { PointOrigin } from '../vault/format/point-origin.ts';
import { byContent } from '../vault/points/point-order.ts';
import { CareTaskRow } from './care/care-task.row.ts';
import { PointDecisionRow } from './rows/point-decision.row.ts';
import { PointProofRow } from './rows/point-proof.row.ts';
import {
  pointRow,
  RecoveryPointRow,
  type CataloguedPoint,
  type PointHold,
} from './rows/recovery-point.row.ts';
import { RetentionLookRow } from './rows/retention-look.row.ts';
import { VerificationRunRow } from './verification/verification-run.row.ts';
import { VaultRow } from './rows/vault.row.ts';

export interface PointOfVault {
  readonly vaultId: string;
  readonly point: CataloguedPoint;
}

export interface ListedPoint extends PointOfVault {
  readonly holds: readonly PointHold[];
}

/** What is known of a point without reading the whole of it. */
export interface PointOutline extends Pick<
  CataloguedPoint,
  'id' | 'vmId' | 'takenAtMs' | 'origin'
> {
  readonly isHeld: boolean;
}

export interface PointFilter {
  readonly vaultId?: string;
  readonly vmId?: string;
}

/** The points of a vault as listed. */
export interface ListedVault {
  /** When the listing began. */
  readonly listing: number;
  readonly points: readonly CataloguedPoint[];
  readonly holds?: readonly (PointHold & { readonly id: string })[];
}

interface OutlineRow {
  readonly id: string;
  readonly vm_id: string;
  readonly taken_at_ms: string;
  readonly origin: PointOrigin | null;
  readonly held: boolean;
}

type PutListener = (vaultId: string, point: CataloguedPoint) => Promise<void>;

export interface PointLeftOut {
  readonly pointId: string;
  readonly why: unknown;
}

/** Rows per INSERT; PostgreSQL takes at most 65,535 parameters. */
const BATCH_ROWS = 1000;
/** Columns to update if the row exists: what the point says, and what the vault says of it. */
const OF_POINT = [
  ...['vm_id', 'vm_name', 'taken_at_ms', 'point', 'changed'],
  ...['origin_kind', 'origin_service', 'policy_name', 'run_id', 'group_id'],
];
const RENEWED = [...OF_POINT, 'holds'];

/** The points of the vaults as last listed. A cache: the vaults have the truth. */
export class PointCatalog {
  private readonly listeners: PutListener[] = [];

  constructor(private readonly source: DataSource) {}

  /** Calls `listener` with each point that a backup has sealed. It must not throw. */
  onPut(listener: PutListener): void {
    this.listeners.push(listener);
  }

  /** Adds or updates a point, but not its holds. Ignores points of a vault that was forgotten. */
  async put(vaultId: string, point: CataloguedPoint): Promise<void> {
    await this.source.transaction(async (transaction) => {
      if ((await lockVault(transaction, vaultId)) !== undefined) {
        const row = pointRow(vaultId, point, { changed: await nextChange(transaction) });
        await write(transaction, [row], OF_POINT);
      }
    });
    for (const listener of this.listeners) {
      await listener(vaultId, point);
    }
  }

  /** Call it before a vault is listed: the listing may not show what is written from now on. */
  async beginListing(): Promise<number> {
    return nextChange(this.source.manager);
  }

  /**
   * Makes the catalog's points of a vault exactly those of a listing, except points that were
   * written since the listing began. Does nothing if a later listing was written already. Two calls
   * at once wait for each other. Leaves out points that the database does not accept.
   * @returns the points left out
   */
  async replace(vaultId: string, listed: ListedVault): Promise<PointLeftOut[]> {
    return this.source.transaction(async (transaction) => {
      const vault = await lockVault(transaction, vaultId);
      if (vault === undefined || vault.listed > listed.listing) {
        return [];
      }
      await transaction.getRepository(VaultRow).update({ id: vaultId }, { listed: listed.listing });
      const points = transaction.getRepository(RecoveryPointRow);
      const known = await points.find({ select: { id: true, changed: true }, where: { vaultId } });
      await points.delete({ vaultId, changed: LessThanOrEqual(listed.listing) });
      const rows = await rowsOf(transaction, vaultId, listed, known);
      const left: PointLeftOut[] = [];
      for (let start = 0; start < rows.length; start += BATCH_ROWS) {
        left.push(...(await writeEach(transaction, rows.slice(start, start + BATCH_ROWS))));
      }
      return left;
    });
  }

  /**
   * Removes everything about the vault's points, also their proofs and what was decided: another
   * place may be registered.
   */
  async forget(vaultId: string): Promise<void> {
    await this.source.transaction(async (transaction) => {
      await transaction.getRepository(RecoveryPointRow).delete({ vaultId });
      await transaction.getRepository(PointProofRow).delete({ vaultId });
      await transaction.getRepository(PointDecisionRow).delete({ vaultId });
      await transaction.getRepository(RetentionLookRow).delete({ vaultId });
      await transaction.getRepository(VerificationRunRow).delete({ vaultId });
      await transaction.getRepository(CareTaskRow).delete({ vaultId });
    });
  }

  /** Lists points in the order in which their content was taken, even if a clock was set back. */
  async list(filter: PointFilter): Promise<ListedPoint[]> {
    const where: FindOptionsWhere<RecoveryPointRow> = {
      ...(filter.vaultId === undefined ? {} : { vaultId: filter.vaultId }),
      ...(filter.vmId === undefined ? {} : { vmId: filter.vmId }),
    };
    const rows = await this.source
      .getRepository(RecoveryPointRow)
      .find({ where, order: { id: 'ASC', vaultId: 'ASC' } });
    return rows
      .map(({ vaultId, point, holds }) => ({ vaultId, point, holds }))
      .sort((a, b) => byContent(a.point, b.point));
  }

  /** Returns the outlines of all points of a vault, in no order: for vaults with very many. */
  async outlines(vaultId: string): Promise<PointOutline[]> {
    const rows = await this.source.query<OutlineRow[]>(
      `SELECT "id", "vm_id", "taken_at_ms", "point"->'origin' AS "origin",
              jsonb_array_length("holds") > 0 AS "held"
         FROM "recovery_point" WHERE "vault_id" = $1`,
      [vaultId],
    );
    return rows.map(({ id, vm_id: vmId, taken_at_ms: takenAtMs, origin, held }) => ({
      ...{ id, vmId, takenAtMs: Number(takenAtMs), isHeld: held },
      ...(origin === null ? {} : { origin }),
    }));
  }

  /** Returns the newest points of a VM in a vault, in the order of their content. */
  async newest(of: Required<PointFilter>, count: number): Promise<CataloguedPoint[]> {
    const rows = await this.source
      .getRepository(RecoveryPointRow)
      .find({ where: of, order: { id: 'DESC' }, take: count });
    return rows.map(({ point }) => point).sort(byContent);
  }

  /** Finds points whose id begins so. A point may be in several vaults, if it was copied. */
  async find(prefix: string): Promise<PointOfVault[]> {
    const rows = await this.source
      .getRepository(RecoveryPointRow)
      .find({ where: { id: Like(`${prefix}%`) }, order: { id: 'ASC', vaultId: 'ASC' } });
    return rows.map(({ vaultId, point }) => ({ vaultId, point }));
  }

  /** Returns the VM's point with the newest content, for each vault that has one. */
  async newestOf(vmId: string): Promise<PointOfVault[]> {
    const listed = await this.list({ vmId });
    return [...new Map(listed.map(({ vaultId, point }) => [vaultId, { vaultId, point }])).values()];
  }

  /** Returns ids of VMs with points that begin so. */
  async vmIdsStarting(prefix: string): Promise<string[]> {
    const rows = await this.source
      .getRepository(RecoveryPointRow)
      .find({ select: { vmId: true }, where: { vmId: Like(`${prefix}%`) } });
    return [...new Set(rows.map(({ vmId }) => vmId))];
  }

  /** Returns ids of VMs that had this name when a point was taken. */
  async vmIdsNamed(name: string): Promise<string[]> {
    const rows = await this.source
      .getRepository(RecoveryPointRow)
      .find({ select: { vmId: true }, where: { vmName: name } });
    return [...new Set(rows.map(({ vmId }) => vmId))];
  }

  async countOf(vaultId: string): Promise<number> {
    return this.source.getRepository(RecoveryPointRow).countBy({ vaultId });
  }
}

/**
 * Waits for other changes of the vault's points. @returns undefined if the vault is not registered
 */
async function lockVault(
  transaction: EntityManager,
  vaultId: string,
): Promise<VaultRow | undefined> {
  const found = await transaction
    .getRepository(VaultRow)
    .findOne({ where: { id: vaultId }, lock: { mode: 'pessimistic_write' } });
  return found ?? undefined;
}

async function nextChange(manager: EntityManager): Promise<number> {
  const [row] = await manager.query<{ next: string }[]>(`SELECT nextval('point_change') AS "next"`);
  return Number(row?.next);
}

async function rowsOf(
  transaction: EntityManager,
  vaultId: string,
  { points, holds = [] }: ListedVault,
  known: readonly Pick<RecoveryPointRow, 'id' | 'changed'>[],
): Promise<RecoveryPointRow[]> {
  // A listed point keeps its number: a later listing without it may remove it.
  const before = new Map(known.map(({ id, changed }) => [id, changed]));
  const held = Map.groupBy(holds, ({ id }) => id);
  const changed = await nextChange(transaction);
  return points.map((point) => {
    const own = (held.get(point.id) ?? []).map(({ atMs, reason }) => ({ atMs, reason }));
    return pointRow(vaultId, point, { changed: before.get(point.id) ?? changed, holds: own });
  });
}

/** Writes all rows at once; if the database does not accept that, one by one. */
async function writeEach(
  transaction: EntityManager,
  rows: readonly RecoveryPointRow[],
): Promise<PointLeftOut[]> {
  const why = await refusal(transaction, rows);
  if (why === undefined) {
    return [];
  }
  const left: PointLeftOut[] = [];
  for (const row of rows) {
    const reason = rows.length === 1 ? why : await refusal(transaction, [row]);
    if (reason !== undefined) {
      left.push({ pointId: row.id, why: reason });
    }
  }
  return left;
}

/** @returns why the database cannot keep the rows' text; undefined if they were written */
async function refusal(
  transaction: EntityManager,
  rows: readonly RecoveryPointRow[],
): Promise<unknown> {
  await transaction.query('SAVEPOINT "rows"');
  try {
    await write(transaction, rows);
    return undefined;
  } catch (error) {
    if (!isDataRefused(error)) {
      throw error;
    }
    await transaction.query('ROLLBACK TO SAVEPOINT "rows"');
    return error;
  }
}

async function write(
  transaction: EntityManager,
  rows: readonly RecoveryPointRow[],
  renewed: readonly string[] = RENEWED,
): Promise<void> {
  await transaction
    .createQueryBuilder()
    .insert()
    .into(RecoveryPointRow)
    .values([...rows])
    .orUpdate([...renewed], ['vault_id', 'id'])
    .execute();
}

/** SQLSTATE class 22: data exception. */
function isDataRefused(error: unknown): boolean {
  if (!(error instanceof QueryFailedError)) {
    return false;
  }
  const { code } = error.driverError as { readonly code?: unknown };
  return typeof code === 'string' && code.startsWith('22');
}
