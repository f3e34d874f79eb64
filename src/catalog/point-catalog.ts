import type { DataSource, FindOptionsWhere } from 'typeorm';
import { pointRow, RecoveryPointRow, type CataloguedPoint } from './recovery-point.row.ts';

export interface PointOfVault {
  readonly vaultId: string;
  readonly point: CataloguedPoint;
}

export interface PointFilter {
  readonly vaultId?: string;
  readonly vmId?: string;
}

/** Rows per INSERT; PostgreSQL takes at most 65,535 parameters. */
const BATCH_ROWS = 1000;

/** What the vaults hold, as it was when they were last asked. A cache: vaults are the truth. */
export class PointCatalog {
  constructor(private readonly source: DataSource) {}

  /** Adds a point, or renews what is known of it. */
  async put(vaultId: string, point: CataloguedPoint): Promise<void> {
    await this.source
      .getRepository(RecoveryPointRow)
      .upsert(pointRow(vaultId, point), ['vaultId', 'id']);
  }

  /** Makes the catalog's points of a vault exactly these, or leaves it as it is. */
  async replace(vaultId: string, points: readonly CataloguedPoint[]): Promise<void> {
    await this.source.transaction(async (transaction) => {
      const rows = transaction.getRepository(RecoveryPointRow);
      await rows.delete({ vaultId });
      for (let start = 0; start < points.length; start += BATCH_ROWS) {
        const batch = points.slice(start, start + BATCH_ROWS);
        await rows.insert(batch.map((point) => pointRow(vaultId, point)));
      }
    });
  }

  /** In the order of their ids, which is the order they were taken in even when a clock was set back. */
  async list(filter: PointFilter): Promise<PointOfVault[]> {
    const where: FindOptionsWhere<RecoveryPointRow> = {
      ...(filter.vaultId === undefined ? {} : { vaultId: filter.vaultId }),
      ...(filter.vmId === undefined ? {} : { vmId: filter.vmId }),
    };
    const rows = await this.source
      .getRepository(RecoveryPointRow)
      .find({ where, order: { id: 'ASC' } });
    return rows.map(({ vaultId, point }) => ({ vaultId, point }));
  }

  /** Where a point is; in several vaults when it was copied. */
  async find(pointId: string): Promise<PointOfVault[]> {
    const rows = await this.source.getRepository(RecoveryPointRow).findBy({ id: pointId });
    return rows.map(({ vaultId, point }) => ({ vaultId, point }));
  }

  /** The newest point of a VM in each vault that has one. */
  async newestOf(vmId: string): Promise<PointOfVault[]> {
    const newest = new Map<string, PointOfVault>();
    const rows = await this.source
      .getRepository(RecoveryPointRow)
      .find({ where: { vmId }, order: { id: 'ASC' } });
    for (const { vaultId, point } of rows) {
      newest.set(vaultId, { vaultId, point });
    }
    return [...newest.values()];
  }

  /** Ids of VMs that had this name when a point was taken. */
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
