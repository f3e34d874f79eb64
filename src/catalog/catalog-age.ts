import type { DataSource, EntityManager } from 'typeorm';
import { affected } from './database/affected.ts';

/** Points in the vaults of runs that the database should know and does not. */
export interface UnknownRuns {
  readonly points: number;
  /** The newest fire time among them. */
  readonly newestFireAtMs: number;
}

/** What accepting an old database did. */
export interface AcceptedCatalog {
  readonly points: number;
  readonly policies: number;
  readonly skippedRuns: number;
}

/**
 * Only what hosts of this database took counts: others that write into the same vault have runs of
 * their own. What is older than the database, or was accepted, does not count either.
 */
const UNKNOWN = `
  SELECT count(*) AS "points", max(("point" -> 'origin' ->> 'fireAtMs')::bigint) AS "newest"
    FROM "recovery_point" AS "sealed"
   WHERE "origin_kind" = 'policy' AND "run_id" IS NOT NULL
     AND "origin_service" IN (SELECT "id"::text FROM "host")
     AND ("point" -> 'origin' ->> 'fireAtMs')::bigint > (SELECT "known_from_ms" FROM "schedule_state")
     AND NOT EXISTS (SELECT 1 FROM "run" WHERE "run"."id"::text = "sealed"."run_id")`;

/** Whether the database is as new as the vaults, or was restored from an older dump. */
export class CatalogAge {
  constructor(private readonly source: DataSource) {}

  /** Returns a text that differs once vaults were listed or something was accepted. */
  async version(): Promise<string> {
    const [row] = await this.source.query<{ version: string }[]>(
      `SELECT concat("known_from_ms", ' ', (SELECT sum("listed") FROM "vault")) AS "version"
         FROM "schedule_state"`,
    );
    return row?.version ?? '';
  }

  /** Returns what the vaults, as last listed, know more than the database; undefined: nothing. */
  async unknownRuns(): Promise<UnknownRuns | undefined> {
    return unknownRuns(this.source.manager);
  }

  /**
   * Takes the database as it is: all schedules go on from now, and what has not ended and has no
   * job is skipped. Changes nothing if the database knows all runs.
   */
  async accept(nowMs: number): Promise<AcceptedCatalog> {
    return this.source.transaction(async (transaction) => {
      const unknown = await unknownRuns(transaction);
      if (unknown === undefined) {
        return { points: 0, policies: 0, skippedRuns: 0 };
      }
      const { points, newestFireAtMs } = unknown;
      await transaction.query('UPDATE "schedule_state" SET "known_from_ms" = $1', [
        Math.max(nowMs, newestFireAtMs),
      ]);
      return {
        points,
        policies: await affected(transaction, horizonsOf('policy'), [nowMs]),
        skippedRuns: await skipIn(transaction, nowMs),
      };
    });
  }
}

const horizonsOf = (table: string): string =>
  `UPDATE "${table}" SET "horizon_ms" = GREATEST("horizon_ms", $1)`;

/** A job that runs, or whose point the next look finds, is none of the time before the dump. */
const skip = (table: string): string => `
  UPDATE "${table}" AS "run" SET "state" = 'skipped', "why" = 'before the catalog was accepted'
   WHERE "state" IN ('due', 'queued', 'running') AND "fire_at_ms" <= $1
     AND NOT EXISTS (
       SELECT 1 FROM "job" WHERE "job"."id" = "run"."job_id" AND "run"."state" <> 'due'
          AND "job"."state" IN ('queued', 'running', 'succeeded'))`;

async function skipIn(transaction: EntityManager, nowMs: number): Promise<number> {
  await transaction.query(horizonsOf('care_task'), [nowMs]);
  const care = await affected(transaction, skip('care_run'), [nowMs]);
  return care + (await affected(transaction, skip('run'), [nowMs]));
}

async function unknownRuns(manager: EntityManager): Promise<UnknownRuns | undefined> {
  const [row] = await manager.query<{ points: string; newest: string | null }[]>(UNKNOWN);
  const points = Number(row?.points);
  return points > 0 ? { points, newestFireAtMs: Number(row?.newest) } : undefined;
}
