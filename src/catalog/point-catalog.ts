import type { DataSource, FindOptionsWhere } from 'typeorm';
import { byContent } from '../vault/point-order.ts';
import { PointProofRow } from './point-proof.row.ts';
import {
  pointRow,
  RecoveryPointRow,
  type CataloguedPoint,
  type PointHold,
} from './recovery-point.row.ts';

export interface PointOfVault {
  readonly vaultId: string;
  readonly point: CataloguedPoint;
}

export interface ListedPoint extends PointOfVault {
  readonly holds: readonly PointHold[];
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
  async replace(
    vaultId: string,
    points: readonly CataloguedPoint[],
    holds: readonly (PointHold & { readonly id: string })[] = [],
  ): Promise<void> {
    const held = Map.groupBy(holds, ({ id }) => id);
    const holdsOf = ({ id }: CataloguedPoint): PointHold[] =>
      (held.get(id) ?? []).map(({ atMs, reason }) => ({ atMs, reason }));
    await this.source.transaction(async (transaction) => {
      const rows = transaction.getRepository(RecoveryPointRow);
      await rows.delete({ vaultId });
      for (let start = 0; start < points.length; start += BATCH_ROWS) {
        const batch = points.slice(start, start + BATCH_ROWS);
        await rows.insert(batch.map((point) => pointRow(vaultId, point, holdsOf(point))));
      }
    });
  }

  /** Everything that is known of the vault's points goes, also when they were proven: another place may be registered. */
  async forget(vaultId: string): Promise<void> {
    await this.source.transaction(async (transaction) => {
      await transaction.getRepository(RecoveryPointRow).delete({ vaultId });
      await transaction.getRepository(PointProofRow).delete({ vaultId });
    });
  }

  /** In the order in which their contents were taken, also when a clock was set back. */
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

  /** Where a point is; in several vaults when it was copied. */
  async find(pointId: string): Promise<PointOfVault[]> {
    const rows = await this.source.getRepository(RecoveryPointRow).findBy({ id: pointId });
    return rows.map(({ vaultId, point }) => ({ vaultId, point }));
  }

  /** The point of a VM with the newest content, in each vault that has one. */
  async newestOf(vmId: string): Promise<PointOfVault[]> {
    const listed = await this.list({ vmId });
    return [...new Map(listed.map(({ vaultId, point }) => [vaultId, { vaultId, point }])).values()];
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
