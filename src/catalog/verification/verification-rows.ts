import { In, IsNull, type DataSource } from 'typeorm';
import { VerificationRunRow } from './verification-run.row.ts';

export type StoredVerification = Readonly<VerificationRunRow>;
export type VerificationChange = Partial<Omit<StoredVerification, 'id' | 'key' | 'dueAtMs'>>;

/** When the verifications of a VM by a policy were due last. */
export interface LastVerification {
  readonly policyId: string;
  readonly vmId: string;
  readonly dueAtMs: number;
  readonly isOpen: boolean;
}

/** What waits to be verified in a vault, beyond what is usual. */
export interface WaitingVerifications {
  readonly vaultId: string;
  readonly count: number;
  readonly oldestMs: number;
  readonly why: string | null;
}

const OPEN = ['due', 'running'];
/** Points of a life without a service are not all verified at its start. */
const SEALED_MAX = 500;

/** Verifications that services begin by themselves, each once, whoever of them looks. */
export class VerificationRows {
  constructor(private readonly source: DataSource) {}

  /**
   * Writes a verification for each point that a host of this database took and that has none.
   *
   * @param sinceMs older points are left alone: scrubs read them
   */
  async addSealed(sinceMs: number, nowMs: number): Promise<void> {
    await this.source.query(SEALED, [sinceMs, nowMs, SEALED_MAX]);
  }

  /** Writes verifications of policies, unless somebody did. */
  async add(rows: readonly StoredVerification[]): Promise<void> {
    if (rows.length > 0) {
      await this.source
        .createQueryBuilder()
        .insert()
        .into(VerificationRunRow)
        .values(rows as object[])
        .orIgnore()
        .execute();
    }
  }

  /** Lists those that have not ended: of new points first, then the older ones. */
  async open(): Promise<StoredVerification[]> {
    return this.source.getRepository(VerificationRunRow).find({
      where: { state: In(OPEN) },
      order: { policyId: { direction: 'ASC', nulls: 'FIRST' }, dueAtMs: 'ASC', id: 'ASC' },
    });
  }

  /** Changes one if it is as it was seen. @returns whether it was */
  async change(
    { id, state, jobId }: Pick<StoredVerification, 'id' | 'state' | 'jobId'>,
    change: VerificationChange,
  ): Promise<boolean> {
    const { affected } = await this.source
      .createQueryBuilder()
      .update(VerificationRunRow)
      .set(change as object)
      .where('id = :id AND state = :state AND job_id IS NOT DISTINCT FROM :jobId', {
        ...{ id, state, jobId },
      })
      .execute();
    return affected === 1;
  }

  /** Returns the last verification of each VM by each policy. */
  async last(): Promise<LastVerification[]> {
    const rows =
      await this.source.query<{ policy: string; vm: string; due: string; open: boolean }[]>(LAST);
    return rows.map(({ policy, vm, due, open }) => ({
      ...{ policyId: policy, vmId: vm, dueAtMs: Number(due), isOpen: open },
    }));
  }

  /** Returns what became of the verifications of new points, by the ids of the points. */
  async ofPoints(pointIds: readonly string[]): Promise<Map<string, StoredVerification>> {
    const rows = await this.source
      .getRepository(VerificationRunRow)
      .findBy({ pointId: In(pointIds), policyId: IsNull() });
    return new Map(rows.map((row) => [row.pointId, row]));
  }

  /**
   * Removes those that ended before a time; of new points, of which there are many, sooner.
   * @returns how many
   */
  async removeEnded(beforeMs: number, sealedBeforeMs: number): Promise<number> {
    const { affected } = await this.source
      .getRepository(VerificationRunRow)
      .createQueryBuilder()
      .delete()
      .where('ended_at_ms < :beforeMs', { beforeMs })
      .orWhere('policy_id IS NULL AND ended_at_ms < :sealedBeforeMs', { sealedBeforeMs })
      .execute();
    return affected ?? 0;
  }

  /** Says which have waited since before a time, by vault. */
  async waiting(beforeMs: number): Promise<WaitingVerifications[]> {
    const rows = await this.source.query<
      { vault: string; count: string; oldest: string; why: string | null }[]
    >(WAITING, [beforeMs]);
    return rows.map(({ vault, count, oldest, why }) => ({
      ...{ vaultId: vault, count: Number(count), oldestMs: Number(oldest), why },
    }));
  }
}

const SEALED = `
  INSERT INTO "verification_run" ("id", "key", "vault_id", "vm_id", "vm_name", "point_id", "level",
         "due_at_ms", "state", "attempt", "next_try_at_ms")
  SELECT gen_random_uuid(), 'sealed ' || "point"."vault_id" || ' ' || "point"."id",
         "point"."vault_id", "point"."vm_id", "point"."vm_name", "point"."id", 1, $2, 'due', 0, $2
    FROM "recovery_point" AS "point"
    JOIN "host" ON "host"."id"::text = "point"."origin_service"
   WHERE "point"."taken_at_ms" >= $1
     AND NOT EXISTS (
       SELECT 1 FROM "verification_run"
        WHERE "key" = 'sealed ' || "point"."vault_id" || ' ' || "point"."id"
     )
   ORDER BY "point"."taken_at_ms" DESC LIMIT $3
  ON CONFLICT DO NOTHING`;

const LAST = `
  SELECT "policy_id" AS "policy", "vm_id" AS "vm", max("due_at_ms") AS "due",
         bool_or("state" IN ('due', 'running')) AS "open"
    FROM "verification_run" WHERE "policy_id" IS NOT NULL GROUP BY "policy_id", "vm_id"`;

const WAITING = `
  SELECT "vault_id" AS "vault", count(*) AS "count", min("due_at_ms") AS "oldest",
         (array_agg("why" ORDER BY "due_at_ms"))[1] AS "why"
    FROM "verification_run" WHERE "state" IN ('due', 'running') AND "due_at_ms" < $1
   GROUP BY "vault_id" ORDER BY "vault_id"`;
