import type { DataSource } from 'typeorm';
import { CareTaskRow } from './care-task.row.ts';

export type StoredCareTask = Readonly<CareTaskRow>;
export type TaskKey = Pick<StoredCareTask, 'vaultId' | 'task'>;

/** What a copy lacks of its vault, as the catalog knows that. */
export interface CopyLag {
  readonly points: number;
  /** Stored for these points alone, about. */
  readonly bytes: number;
  /** When the oldest of them was taken; undefined if it lacks none. */
  readonly sinceMs: number | undefined;
}

/** Why a task cannot be done. */
export interface CareTrouble {
  readonly text: string;
  readonly code?: string | undefined;
}

const LAG = `
  SELECT count(*) AS "points", min("taken_at_ms") AS "since",
         coalesce(sum((
           SELECT sum(("disk" #>> '{statistics,storedBytes}')::numeric)
             FROM jsonb_array_elements("point" -> 'disks') AS "disk")), 0) AS "bytes"
    FROM "recovery_point"
   WHERE "vault_id" = $1 AND "changed" > $2`;

/** The state of what is done for vaults again and again. No statement asks for the time of day. */
export class CareTasks {
  constructor(private readonly source: DataSource) {}

  async list(): Promise<StoredCareTask[]> {
    return this.source.getRepository(CareTaskRow).find({ order: { vaultId: 'ASC', task: 'ASC' } });
  }

  /** Adds a task whose fire times begin now, unless it is there. */
  async add(key: TaskKey, schedule: string, horizonMs: number): Promise<void> {
    await this.source
      .createQueryBuilder()
      .insert()
      .into(CareTaskRow)
      .values({ ...key, schedule, horizonMs })
      .orIgnore()
      .execute();
  }

  /** Lets the fire times of another schedule begin now. */
  async reschedule(
    { vaultId, task, schedule: before }: StoredCareTask,
    schedule: string,
    horizonMs: number,
  ): Promise<void> {
    await this.source
      .getRepository(CareTaskRow)
      .update({ vaultId, task, schedule: before }, { schedule, horizonMs });
  }

  async remove({ vaultId, task }: TaskKey): Promise<void> {
    await this.source.getRepository(CareTaskRow).delete({ vaultId, task });
  }

  /** Notes why a task cannot be done. @returns whether that is news: of many callers to one */
  async trouble({ vaultId, task }: TaskKey, why: CareTrouble, nowMs: number): Promise<boolean> {
    const rows = await this.source.query<[unknown[], number]>(
      `UPDATE "care_task" SET "trouble" = $3, "trouble_code" = $4,
              "trouble_since_ms" = coalesce("trouble_since_ms", $5)
        WHERE "vault_id" = $1 AND "task" = $2 AND "trouble" IS DISTINCT FROM $3
       RETURNING "task"`,
      [vaultId, task, why.text, why.code ?? null, nowMs],
    );
    return rows[1] > 0;
  }

  /** Notes that a task can be done. @returns whether that is news */
  async well({ vaultId, task }: TaskKey): Promise<boolean> {
    const rows = await this.source.query<[unknown[], number]>(
      `UPDATE "care_task" SET "trouble" = NULL, "trouble_code" = NULL, "trouble_since_ms" = NULL
        WHERE "vault_id" = $1 AND "task" = $2 AND "trouble" IS NOT NULL
       RETURNING "task"`,
      [vaultId, task],
    );
    return rows[1] > 0;
  }

  /** Notes that a copy has all points of a change, and when. Never goes back. */
  async followed({ vaultId, task }: TaskKey, change: number, nowMs: number): Promise<void> {
    await this.source.query(
      `UPDATE "care_task" SET "followed_at_ms" = $4,
              "followed_change" = GREATEST(coalesce("followed_change", 0), $3)
        WHERE "vault_id" = $1 AND "task" = $2`,
      [vaultId, task, change, nowMs],
    );
  }

  /** Returns the number of a change of points that is later than all that are known. */
  async nextChange(): Promise<number> {
    const [row] = await this.source.query<{ next: string }[]>(
      `SELECT nextval('point_change') AS "next"`,
    );
    return Number(row?.next);
  }

  /** Returns what a copy lacks. */
  async lagOf({
    vaultId,
    followedChange,
  }: Pick<StoredCareTask, 'vaultId' | 'followedChange'>): Promise<CopyLag> {
    const [row] = await this.source.query<
      { points: string; since: string | null; bytes: string }[]
    >(LAG, [vaultId, followedChange ?? -1]);
    const since = row?.since ?? null;
    return {
      points: Number(row?.points),
      bytes: Number(row?.bytes),
      sinceMs: since === null ? undefined : Number(since),
    };
  }
}
