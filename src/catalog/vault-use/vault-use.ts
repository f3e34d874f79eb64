import { In, IsNull, type DataSource } from 'typeorm';
import { JobRow } from '../rows/job.row.ts';
import { VaultRow } from '../rows/vault.row.ts';

/** A job that has not ended. */
export interface UnfinishedJob {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
}

/** A policy that names a vault, for its points or for their copies. */
export interface NamingPolicy {
  readonly name: string;
  readonly copiesOnly: boolean;
}

/** Another vault that has points of this one. */
export interface PointsElsewhere {
  readonly vault: string;
  readonly points: number;
}

/** Who uses a vault, and that somebody destroys it. */
export class VaultUse {
  constructor(private readonly source: DataSource) {}

  /** Lists the jobs on a vault that have not ended. @param exceptJob the one that asks */
  async jobs(vaultId: string, exceptJob: string): Promise<UnfinishedJob[]> {
    const rows = await this.source
      .getRepository(JobRow)
      .find({ where: { state: In(['queued', 'running']) }, order: { createdAtMs: 'ASC' } });
    return rows
      .filter(({ id, subject }) => id !== exceptJob && subject['vaultId'] === vaultId)
      .map(({ id, kind, state }) => ({ id, kind, state }));
  }

  async policies(vaultName: string): Promise<NamingPolicy[]> {
    return this.source.query<NamingPolicy[]>(POLICIES, [vaultName]);
  }

  async pointsElsewhere(vaultId: string): Promise<PointsElsewhere[]> {
    const rows = await this.source.query<{ vault: string; points: string }[]>(ELSEWHERE, [vaultId]);
    return rows.map(({ vault, points }) => ({ vault, points: Number(points) }));
  }

  /** Notes that the vault is being destroyed: from now on nothing else opens it. */
  async begin(vaultId: string, nowMs: number): Promise<void> {
    await this.source
      .getRepository(VaultRow)
      .update({ id: vaultId, destroyingAtMs: IsNull() }, { destroyingAtMs: nowMs });
  }
}

const POLICIES = `
  SELECT "policy"."name", "document" ->> 'vault' <> $1 AS "copiesOnly"
    FROM "policy" JOIN "policy_revision"
      ON "policy_id" = "policy"."id" AND "number" = "policy"."revision"
   WHERE "document" ->> 'vault' = $1
      OR "document" -> 'copies' @> jsonb_build_array(jsonb_build_object('vault', $1::text))
   ORDER BY 1`;

const ELSEWHERE = `
  SELECT "vault"."name" AS "vault", count(*) AS "points"
    FROM "recovery_point" AS "own"
    JOIN "recovery_point" AS "other"
      ON "other"."id" = "own"."id" AND "other"."vm_id" = "own"."vm_id"
     AND "other"."vault_id" <> "own"."vault_id"
    JOIN "vault" ON "vault"."id" = "other"."vault_id"
   WHERE "own"."vault_id" = $1 GROUP BY "vault"."name" ORDER BY 1`;
