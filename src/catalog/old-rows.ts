import type { DataSource } from 'typeorm';
import { affected } from './database/affected.ts';

/** What is old enough to be removed. */
export interface Aged {
  /** Runs that were due earlier, except the newest `runsKept` of each VM. */
  readonly runsBeforeMs: number;
  readonly runsKept: number;
  /** VMs that are gone for longer, and hosts that were not seen since. */
  readonly goneBeforeMs: number;
  /** The host that asks; it stays. */
  readonly hostId: string;
}

export interface RemovedRows {
  readonly runs: number;
  readonly vms: number;
  readonly hosts: number;
}

const BATCH_ROWS = 10_000;

/** Removes what nobody asks for any more, so that the database does not grow for ever. */
export class OldRows {
  constructor(private readonly source: DataSource) {}

  /** Safe to call in several services at once. Runs that have not ended stay. */
  async remove(aged: Aged): Promise<RemovedRows> {
    let runs = 0;
    for (let removed = BATCH_ROWS; removed === BATCH_ROWS;) {
      removed = await this.removeRuns(aged);
      runs += removed;
    }
    const vms = await affected(this.source, VMS, [aged.goneBeforeMs]);
    const hosts = await affected(this.source, HOSTS, [aged.goneBeforeMs, aged.hostId]);
    return { runs, vms, hosts };
  }

  /** The database no longer claims to know runs of the time of those that go. */
  private async removeRuns({ runsBeforeMs, runsKept }: Aged): Promise<number> {
    return this.source.transaction(async (transaction) => {
      const [row] = await transaction.query<{ amount: string; newest: string | null }[]>(RUNS, [
        runsBeforeMs,
        runsKept - 1,
        BATCH_ROWS,
      ]);
      if (typeof row?.newest === 'string') {
        await transaction.query(
          'UPDATE "schedule_state" SET "known_from_ms" = GREATEST("known_from_ms", $1)',
          [row.newest],
        );
      }
      return Number(row?.amount);
    });
  }
}

const RUNS = `
  WITH "old" AS (
    SELECT "id" FROM "run" AS "each"
     WHERE "fire_at_ms" < $1 AND "state" IN ('sealed', 'skipped', 'failed')
       AND "fire_at_ms" < (
         SELECT "fire_at_ms" FROM "run" WHERE "vm_id" = "each"."vm_id"
          ORDER BY "fire_at_ms" DESC OFFSET $2 LIMIT 1)
     ORDER BY "fire_at_ms" LIMIT $3
  ), "removed" AS (
    DELETE FROM "run" USING "old" WHERE "run"."id" = "old"."id" RETURNING "run"."fire_at_ms"
  )
  SELECT count(*) AS "amount", max("fire_at_ms") AS "newest" FROM "removed"`;

/** A VM with points keeps its name and tags: it may come back from one of them. */
const VMS = `
  DELETE FROM "vm" WHERE "gone_at_ms" < $1
     AND NOT EXISTS (SELECT 1 FROM "recovery_point" WHERE "vm_id" = "vm"."id")`;

/** Points that a host took say by its id whether their runs should be known. */
const HOSTS = `
  DELETE FROM "host" WHERE "last_seen_ms" < $1 AND "id" <> $2
     AND NOT EXISTS (SELECT 1 FROM "vm" WHERE "host_id" = "host"."id")
     AND NOT EXISTS (SELECT 1 FROM "recovery_point" WHERE "origin_service" = "host"."id"::text)`;
