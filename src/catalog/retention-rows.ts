import type { DataSource } from 'typeorm';
import { CarriedRevisionRow } from './rows/carried-revision.row.ts';
import { PointDecisionRow } from './rows/point-decision.row.ts';
import { PointOwnerRow } from './rows/point-owner.row.ts';
import { RetentionLookRow } from './rows/retention-look.row.ts';

export type StoredDecision = Readonly<PointDecisionRow>;
export type RetentionLook = Readonly<RetentionLookRow>;

/** Who did something, and when. */
export interface DoneBy {
  readonly author: string;
  readonly atMs: number;
}

/** A vault about whose points somebody has to decide. */
export interface DueVault {
  readonly vaultId: string;
  /** Of the last look; undefined before the first. */
  readonly lookedAtMs: number | undefined;
  readonly newestPointId: string | null;
}

/** Rows per INSERT; PostgreSQL takes at most 65,535 parameters. */
const BATCH_ROWS = 1000;

/** What was decided about points, and what people said to it. */
export class RetentionRows {
  constructor(private readonly source: DataSource) {}

  async decisions(vaultId?: string): Promise<StoredDecision[]> {
    return this.source
      .getRepository(PointDecisionRow)
      .findBy(vaultId === undefined ? {} : { vaultId });
  }

  /** Makes the decisions on the points of a vault exactly these. */
  async decide(vaultId: string, decisions: readonly StoredDecision[]): Promise<void> {
    await this.source.transaction(async (transaction) => {
      await transaction.getRepository(PointDecisionRow).delete({ vaultId });
      for (let start = 0; start < decisions.length; start += BATCH_ROWS) {
        await transaction
          .createQueryBuilder()
          .insert()
          .into(PointDecisionRow)
          .values(decisions.slice(start, start + BATCH_ROWS) as object[])
          .orUpdate(['vm_id', 'keep', 'because', 'decided_at_ms'], ['vault_id', 'point_id'])
          .execute();
      }
    });
  }

  /** Returns the policies that points of a vault were given to. */
  async owners(vaultId: string): Promise<Map<string, string>> {
    const rows = await this.source.getRepository(PointOwnerRow).findBy({ vaultId });
    return new Map(rows.map(({ pointId, policyName }) => [pointId, policyName]));
  }

  /** Gives points to a policy. */
  async adopt(
    vaultId: string,
    pointIds: readonly string[],
    by: DoneBy & { readonly policyName: string },
  ): Promise<void> {
    const rows = pointIds.map((pointId) => ({ vaultId, pointId, ...by }));
    await this.source.getRepository(PointOwnerRow).upsert(rows, ['vaultId', 'pointId']);
  }

  /** Returns the revisions whose retention is carried out in a vault, by the ids of policies. */
  async carried(vaultId: string): Promise<Map<string, number>> {
    const rows = await this.source.getRepository(CarriedRevisionRow).findBy({ vaultId });
    return new Map(rows.map(({ policyId, revision }) => [policyId, revision]));
  }

  /** Notes that the retention of a revision is carried out in a vault from now on. */
  async carry(
    { id, revision }: { readonly id: string; readonly revision: number },
    vaultId: string,
    by: DoneBy,
  ): Promise<void> {
    await this.source
      .getRepository(CarriedRevisionRow)
      .upsert({ policyId: id, vaultId, revision, ...by }, ['policyId', 'vaultId']);
  }

  /** Lists the last look at each vault that was looked at. */
  async looks(): Promise<RetentionLook[]> {
    return this.source.getRepository(RetentionLookRow).find();
  }

  /**
   * Lists vaults that have another newest point than at the last look while no run writes into
   * them, and those whose last look began before `beforeMs`.
   */
  async due(beforeMs: number): Promise<DueVault[]> {
    const rows = await this.source.query<
      { vault: string; at: string | null; newest: string | null }[]
    >(DUE, [beforeMs]);
    return rows.map(({ vault, at, newest }) => ({
      vaultId: vault,
      lookedAtMs: at === null ? undefined : Number(at),
      newestPointId: newest,
    }));
  }

  /** Claims the next look at a vault. @returns false if somebody else did */
  async begin({ vaultId, lookedAtMs, newestPointId }: DueVault, nowMs: number): Promise<boolean> {
    const rows = await this.source.query<unknown[]>(
      `INSERT INTO "retention_look" ("vault_id", "at_ms", "newest_point_id") VALUES ($1, $2, $3)
       ON CONFLICT ("vault_id") DO UPDATE SET "at_ms" = $2, "newest_point_id" = $3
         WHERE "retention_look"."at_ms" = $4
       RETURNING "vault_id"`,
      [vaultId, nowMs, newestPointId, lookedAtMs ?? null],
    );
    return rows.length > 0;
  }

  /** Notes what came of a look. */
  async report(vaultId: string, atMs: number, report: object): Promise<void> {
    await this.source
      .getRepository(RetentionLookRow)
      .upsert({ vaultId, atMs, report }, ['vaultId']);
  }
}

const DUE = `
  SELECT "vault"."id" AS "vault", "look"."at_ms" AS "at", "newest"."id" AS "newest"
    FROM "vault"
    LEFT JOIN "retention_look" AS "look" ON "look"."vault_id" = "vault"."id"
    LEFT JOIN LATERAL (
      SELECT max("id") AS "id" FROM "recovery_point" WHERE "vault_id" = "vault"."id"
    ) AS "newest" ON true
   WHERE "newest"."id" IS NOT NULL
     AND (
       "look"."at_ms" IS NULL OR "look"."at_ms" <= $1
       OR (
         "look"."newest_point_id" IS DISTINCT FROM "newest"."id"
         AND NOT EXISTS (
           SELECT 1 FROM "run"
            WHERE "state" IN ('queued', 'running') AND "run"."vault_id" = "vault"."id"
         )
       )
     )
   ORDER BY "vault"."id"`;
