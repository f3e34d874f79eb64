import { In, LessThan, type DataSource, type EntityManager } from 'typeorm';
import { PolicyRow } from './rows/policy.row.ts';
import { RunRow } from './rows/run.row.ts';

export type StoredRun = Readonly<RunRow>;

/** What changes in a run. */
export type RunChange = Partial<
  Omit<StoredRun, 'id' | 'policyId' | 'policyName' | 'vmId' | 'vmName' | 'hostId' | 'fireAtMs'>
>;

/** What a look at a policy's schedule found. */
export interface Firing {
  readonly policyId: string;
  /** The horizon at which the look began. */
  readonly fromMs: number;
  readonly horizonMs: number;
  readonly runs: readonly StoredRun[];
  /** Runs that the new ones end, as they were seen. */
  readonly ended: readonly EndedRun[];
}

export interface EndedRun {
  readonly run: Pick<StoredRun, 'id' | 'state' | 'attempt'>;
  readonly change: RunChange;
}

export interface RunFilter {
  readonly id?: string;
  readonly policyName?: string;
  /** A name or an id. */
  readonly vm?: string;
  readonly limit: number;
}

/** States of runs that have not ended. */
export const UNFINISHED = ['due', 'queued', 'running'];
const WITH_JOB = ['queued', 'running'];
/** Rows per INSERT; PostgreSQL takes at most 65,535 parameters. */
const BATCH_ROWS = 1000;

/** The vault knows better than the rows: of two points of a run the first one counts. */
const CREDIT = `
  UPDATE "run" SET "state" = 'sealed', "point_id" = "found"."id", "why" = NULL, "fault" = NULL
    FROM (SELECT DISTINCT ON ("run_id") "run_id", "id", "vm_id" FROM "recovery_point"
           WHERE "run_id" IS NOT NULL AND "origin_kind" = 'policy' ORDER BY "run_id", "id") "found"
   WHERE "run"."state" IN ('failed', 'skipped') AND "run"."id"::text = "found"."run_id"
     AND "run"."vm_id" = "found"."vm_id"
  RETURNING "run"."id", "run"."policy_name" AS "policyName", "run"."vm_name" AS "vmName"`;

/**
 * A run follows its VM to another host, unless it has a job there that has not ended: then it
 * follows when that has.
 */
const FOLLOW = `
  UPDATE "run" SET "host_id" = "vm"."host_id" FROM "vm"
   WHERE "run"."state" IN ('due', 'queued', 'running') AND "vm"."id" = "run"."vm_id"
     AND "vm"."host_id" = $1 AND "vm"."gone_at_ms" IS NULL AND "run"."host_id" <> $1
     AND NOT EXISTS (SELECT FROM "job" WHERE "job"."id" = "run"."job_id"
                        AND "job"."state" IN ('queued', 'running'))
  RETURNING "run"."id", "run"."policy_name" AS "policyName", "run"."vm_name" AS "vmName"`;

/** The runs of policies, as rows. No statement asks the database for the time of day. */
export class RunRows {
  constructor(private readonly source: DataSource) {}

  /** Lists the runs that have not ended, in the order of their fire times. */
  async unfinished(): Promise<StoredRun[]> {
    return this.source.getRepository(RunRow).find({
      where: { state: In(UNFINISHED) },
      order: { fireAtMs: 'ASC', id: 'ASC' },
    });
  }

  /**
   * Writes new runs, and that the schedule was looked at until then: both or neither.
   * @returns false, and writes nothing, if somebody else looked, the policy is gone or paused, or a
   *   run that is to end went on meanwhile: then the next look finds it so
   */
  async fire({ policyId, fromMs, horizonMs, runs, ended }: Firing): Promise<boolean> {
    return unlessOvertaken(async () =>
      this.source.transaction(async (transaction) => {
        const { affected } = await transaction
          .getRepository(PolicyRow)
          .update({ id: policyId, horizonMs: fromMs, paused: false }, { horizonMs });
        refuseUnlessOne(affected);
        for (const { run, change } of ended) {
          const { id, state, attempt } = run;
          const as = { id, state, attempt };
          const one = await transaction.getRepository(RunRow).update(as, change as object);
          refuseUnlessOne(one.affected);
        }
        await insertRuns(transaction, runs);
      }),
    );
  }

  /**
   * Writes runs that somebody asks for, one caller of a policy at a time. The schedule stays.
   *
   * @param plan returns them, from the runs of the policy that have not ended
   */
  async add(
    policyId: string,
    plan: (unfinished: readonly StoredRun[]) => readonly StoredRun[],
  ): Promise<void> {
    await this.source.transaction(async (transaction) => {
      await lockPolicy(transaction, policyId);
      const runs = plan(
        await transaction.getRepository(RunRow).findBy({ policyId, state: In(UNFINISHED) }),
      );
      await insertRuns(transaction, runs);
    });
  }

  /** Notes that these schedules were looked at and nothing was due. Moves no horizon back. */
  async moveHorizons(policyIds: readonly string[], toMs: number): Promise<void> {
    await this.source
      .getRepository(PolicyRow)
      .update({ id: In(policyIds), horizonMs: LessThan(toMs) }, { horizonMs: toMs });
  }

  /** Changes a run that has not ended. @returns whether there was one */
  async change(id: string, change: RunChange): Promise<boolean> {
    return changeRun(this.source.manager, id, change);
  }

  /**
   * Changes a run that gets a job, one caller of a policy with a limit at a time.
   *
   * @param atOnce how many runs of the policy may have a job, on all hosts together
   * @returns whether there was room, and the run
   */
  async begin(
    { id, policyId }: Pick<StoredRun, 'id' | 'policyId'>,
    change: RunChange,
    atOnce: number | undefined,
  ): Promise<boolean> {
    if (atOnce === undefined) {
      return this.change(id, change);
    }
    return this.source.transaction(async (transaction) => {
      await lockPolicy(transaction, policyId);
      const runs = transaction.getRepository(RunRow);
      const busy = await runs.countBy({ policyId, state: In(WITH_JOB) });
      return busy < atOnce && (await changeRun(transaction, id, change));
    });
  }

  /** Takes over the runs whose VMs this host has now. @returns them */
  async follow(hostId: string): Promise<Pick<StoredRun, 'id' | 'policyName' | 'vmName'>[]> {
    const [runs] = await this.source.query<
      [Pick<StoredRun, 'id' | 'policyName' | 'vmName'>[], number]
    >(FOLLOW, [hostId]);
    return runs;
  }

  /**
   * Seals the runs that ended without a point although the vaults, as last listed, have one: the
   * service died after the seal, and the next run was due before anybody looked.
   */
  async credit(): Promise<Pick<StoredRun, 'id' | 'policyName' | 'vmName'>[]> {
    const [runs] =
      await this.source.query<[Pick<StoredRun, 'id' | 'policyName' | 'vmName'>[], number]>(CREDIT);
    return runs;
  }

  /** Lists runs, newest first. */
  async list({ id, policyName, vm, limit }: RunFilter): Promise<StoredRun[]> {
    const policy = { ...(id && { id }), ...(policyName && { policyName }) };
    return this.source.getRepository(RunRow).find({
      where:
        vm === undefined
          ? policy
          : [
              { ...policy, vmId: vm },
              { ...policy, vmName: vm },
            ],
      order: { fireAtMs: 'DESC', id: 'DESC' },
      take: limit,
    });
  }

  /** Returns points of a vault that are second results: another point was credited to the run. */
  async extraPoints(vaultId: string): Promise<Set<string>> {
    const rows = await this.source.query<{ id: string }[]>(
      `SELECT "extra"."id"
         FROM "recovery_point" AS "extra"
         JOIN "run" ON "run"."id"::text = "extra"."run_id"
         JOIN "recovery_point" AS "credited"
           ON "credited"."vault_id" = $1 AND "credited"."id" = "run"."point_id"
        WHERE "extra"."vault_id" = $1 AND "extra"."id" <> "credited"."id"`,
      [vaultId],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** Returns the clock of the database; only for comparing it with ours. */
  async databaseMs(): Promise<number> {
    const [row] = await this.source.query<{ ms: string }[]>(
      `SELECT round(extract(epoch FROM clock_timestamp()) * 1000) AS "ms"`,
    );
    return Number(row?.ms);
  }
}

/** Undoes a transaction: a row is not as it was seen. */
class Overtaken extends Error {}

function refuseUnlessOne(affected: number | undefined): void {
  if (affected !== 1) {
    throw new Overtaken();
  }
}

async function unlessOvertaken(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof Overtaken) {
      return false;
    }
    throw error;
  }
}

async function lockPolicy(manager: EntityManager, id: string): Promise<void> {
  const lock = { mode: 'pessimistic_write' } as const;
  await manager.getRepository(PolicyRow).findOne({ where: { id }, lock });
}

async function insertRuns(manager: EntityManager, runs: readonly StoredRun[]): Promise<void> {
  for (let start = 0; start < runs.length; start += BATCH_ROWS) {
    await manager
      .createQueryBuilder()
      .insert()
      .into(RunRow)
      .values(runs.slice(start, start + BATCH_ROWS) as object[])
      .orIgnore()
      .execute();
  }
}

async function changeRun(manager: EntityManager, id: string, change: RunChange): Promise<boolean> {
  const { affected } = await manager
    .getRepository(RunRow)
    .update({ id, state: In(UNFINISHED) }, change as object);
  return affected === 1;
}
