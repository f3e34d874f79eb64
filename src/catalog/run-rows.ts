import { In, LessThan, type DataSource, type EntityManager } from 'typeorm';
import { PolicyRow } from './rows/policy.row.ts';
import { RunRow } from './rows/run.row.ts';

export type StoredRun = Readonly<RunRow>;

/** What changes in a run. */
export type RunChange = Partial<
  Omit<StoredRun, 'id' | 'policyId' | 'policyName' | 'vmId' | 'vmName' | 'fireAtMs'>
>;

/** What a look at a policy's schedule found. */
export interface Firing {
  readonly policyId: string;
  /** The horizon at which the look began. */
  readonly fromMs: number;
  readonly horizonMs: number;
  readonly runs: readonly StoredRun[];
  /** Changes of runs that the new ones end, by their ids. */
  readonly ended: ReadonlyMap<string, RunChange>;
}

export interface RunFilter {
  readonly id?: string;
  readonly policyName?: string;
  /** A name or an id. */
  readonly vm?: string;
  readonly limit: number;
}

const UNFINISHED = ['due', 'queued', 'running'];
/** Rows per INSERT; PostgreSQL takes at most 65,535 parameters. */
const BATCH_ROWS = 1000;

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
   * @returns false, and writes nothing, if somebody else looked or the policy is gone or paused
   */
  async fire({ policyId, fromMs, horizonMs, runs, ended }: Firing): Promise<boolean> {
    return this.source.transaction(async (transaction) => {
      const { affected } = await transaction
        .getRepository(PolicyRow)
        .update({ id: policyId, horizonMs: fromMs, paused: false }, { horizonMs });
      if (affected !== 1) {
        return false;
      }
      for (const [id, change] of ended) {
        await changeRun(transaction, id, change);
      }
      await insertRuns(transaction, runs);
      return true;
    });
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
      const lock = { mode: 'pessimistic_write' } as const;
      await transaction.getRepository(PolicyRow).findOne({ where: { id: policyId }, lock });
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

  /** Returns the clock of the database; only for comparing it with ours. */
  async databaseMs(): Promise<number> {
    const [row] = await this.source.query<{ ms: string }[]>(
      `SELECT round(extract(epoch FROM clock_timestamp()) * 1000) AS "ms"`,
    );
    return Number(row?.ms);
  }
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
