import { In, type DataSource } from 'typeorm';
import { affected } from '../database/affected.ts';
import { CareRunRow } from './care-run.row.ts';
import { CareTaskRow } from './care-task.row.ts';
import type { TaskKey } from './care-tasks.ts';

export type StoredCareRun = Readonly<CareRunRow>;

/** What changes in a run. */
export type CareRunChange = Partial<
  Omit<StoredCareRun, 'id' | 'vaultId' | 'vaultName' | 'task' | 'fireAtMs'>
>;

/** What a look at the schedule of a task found. */
export interface CareFiring extends TaskKey {
  readonly fromMs: number;
  readonly horizonMs: number;
  readonly runs: readonly StoredCareRun[];
  /** Runs that the new ones end, as they were seen. */
  readonly ended: readonly { readonly run: StoredCareRun; readonly change: CareRunChange }[];
}

export interface CareRunFilter {
  readonly vaultId?: string;
  readonly task?: string;
  readonly limit: number;
}

const OLD = `
  DELETE FROM "care_run" AS "old"
   WHERE "fire_at_ms" < $1 AND "state" IN ('done', 'skipped', 'failed')
     AND "fire_at_ms" < (
       SELECT "fire_at_ms" FROM "care_run"
        WHERE "vault_id" = "old"."vault_id" AND "task" = "old"."task"
        ORDER BY "fire_at_ms" DESC OFFSET $2 LIMIT 1)`;

const UNFINISHED = ['due', 'queued', 'running'];

/** The runs of the care of vaults, as rows. Any service may change any of them, as it was seen. */
export class CareRunRows {
  constructor(private readonly source: DataSource) {}

  async unfinished(): Promise<StoredCareRun[]> {
    return this.source.getRepository(CareRunRow).find({
      where: { state: In(UNFINISHED) },
      order: { fireAtMs: 'ASC', id: 'ASC' },
    });
  }

  /**
   * Writes new runs, and that the schedule was looked at until then: both or neither.
   * @returns false, and writes nothing, if somebody else looked, or a run went on meanwhile
   */
  async fire({ vaultId, task, fromMs, horizonMs, runs, ended }: CareFiring): Promise<boolean> {
    try {
      await this.source.transaction(async (transaction) => {
        const looked = await transaction
          .getRepository(CareTaskRow)
          .update({ vaultId, task, horizonMs: fromMs }, { horizonMs });
        refuseUnlessOne(looked.affected);
        const rows = transaction.getRepository(CareRunRow);
        for (const { run, change } of ended) {
          refuseUnlessOne((await rows.update(asSeen(run), change as object)).affected);
        }
        await rows
          .createQueryBuilder()
          .insert()
          .values(runs.map((run) => ({ ...run, declined: [...run.declined] })) as object[])
          .orIgnore()
          .execute();
      });
      return true;
    } catch (error) {
      if (error instanceof Overtaken) {
        return false;
      }
      throw error;
    }
  }

  /** Writes a run that somebody asks for. @returns false if there is one of this instant */
  async add(run: StoredCareRun): Promise<boolean> {
    const inserted = await this.source
      .createQueryBuilder()
      .insert()
      .into(CareRunRow)
      .values({ ...run, declined: [...run.declined] } as object)
      .orIgnore()
      .returning('id')
      .execute();
    return (inserted.raw as unknown[]).length > 0;
  }

  /** Changes a run as it was seen. @returns false if somebody else changed it meanwhile */
  async change(seen: StoredCareRun, change: CareRunChange): Promise<boolean> {
    const { affected } = await this.source
      .getRepository(CareRunRow)
      .update(asSeen(seen), change as object);
    return affected === 1;
  }

  /** Notes that a host cannot do a run that is due. @returns all such hosts */
  async decline({ id }: Pick<StoredCareRun, 'id'>, hostId: string): Promise<readonly string[]> {
    const [rows] = await this.source.query<[{ declined: string[] }[], number]>(
      `UPDATE "care_run"
          SET "declined" = array_append(array_remove("declined", $2), $2)
        WHERE "id" = $1 AND "state" = 'due'
       RETURNING "declined"`,
      [id, hostId],
    );
    return rows[0]?.declined ?? [];
  }

  /** Lists runs, newest first. */
  async list({ limit, ...where }: CareRunFilter): Promise<StoredCareRun[]> {
    return this.source.getRepository(CareRunRow).find({
      where,
      order: { fireAtMs: 'DESC', id: 'DESC' },
      take: limit,
    });
  }

  /** Removes runs that were due earlier, except the newest of each task. @returns how many */
  async removeEnded(beforeMs: number, kept: number): Promise<number> {
    return affected(this.source, OLD, [beforeMs, kept - 1]);
  }

  /** Returns the last run of each task that has begun or ended. */
  async last(): Promise<StoredCareRun[]> {
    return this.source
      .getRepository(CareRunRow)
      .createQueryBuilder('run')
      .distinctOn(['run.vaultId', 'run.task'])
      .where("run.state <> 'skipped'")
      .orderBy('run.vaultId')
      .addOrderBy('run.task')
      .addOrderBy('run.fireAtMs', 'DESC')
      .getMany();
  }
}

/** Undoes a transaction: a row is not as it was seen. */
class Overtaken extends Error {}

function refuseUnlessOne(affected: number | undefined): void {
  if (affected !== 1) {
    throw new Overtaken();
  }
}

function asSeen({ id, state, attempt }: StoredCareRun) {
  return { id, state, attempt };
}
