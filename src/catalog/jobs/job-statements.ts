import assert from 'node:assert/strict';
import { QueryFailedError, type EntityManager, type QueryRunner } from 'typeorm';
import { JobRow } from '../rows/job.row.ts';
import { queueOf, type HandedJob } from './hand-out.ts';

export type StoredJob = Readonly<JobRow>;

/** How a job ended. */
export type JobEnd = Partial<
  Pick<StoredJob, 'state' | 'finishedAtMs' | 'progress' | 'fault' | 'result'>
>;

/** The channel on which services that share a database tell each other of jobs. */
export const JOB_CHANNEL = 'hyperkeep_jobs';
/**
 * `queued`: there is a job more; `claimed`: it runs; `ended`: so that there may be room; `cancel`:
 * somebody asks for its end.
 */
export type JobNews = 'queued' | 'claimed' | 'ended' | 'cancel';

/** Classes of SQLSTATE: data exception, program limit exceeded. The same row fails again. */
const UNSTORABLE = /^(22|54)/;

/** The database does not accept the row's content: trying again does not help. */
export class UnstorableRow extends Error {}

/** Tells all services when the transaction is committed. */
export async function notify(manager: EntityManager, news: JobNews, id: string): Promise<void> {
  await manager.query('SELECT pg_notify($1, $2)', [JOB_CHANNEL, `${news} ${id}`]);
}

/** Ends the job if its row is as it is given. @returns whether it was */
export async function endIn(
  manager: EntityManager,
  found: Partial<Pick<JobRow, 'state' | 'token' | 'leaseUntilMs'>> & Pick<JobRow, 'id'>,
  end: JobEnd,
): Promise<boolean> {
  const { affected } = await stored(found.id, async () =>
    manager.getRepository(JobRow).update(found as object, end as object),
  );
  if (affected === 1) {
    await notify(manager, 'ended', found.id);
  }
  return affected === 1;
}

/** @throws UnstorableRow */
export async function stored<T>(id: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isUnstorable(error) ? new UnstorableRow(`the row of job ${id}`, { cause: error }) : error;
  }
}

function isUnstorable(error: unknown): boolean {
  if (!(error instanceof QueryFailedError)) {
    return false;
  }
  const { code } = error.driverError as { code?: unknown };
  return typeof code === 'string' && UNSTORABLE.test(code);
}

/** Returns a job as it is handed out. */
export function handedOf({ id, hostId, lane, exclusiveKey, priority }: StoredJob): HandedJob {
  return { id, queue: queueOf(hostId, lane), key: exclusiveKey ?? id, priority };
}

/** Returns what runs the statements of a transaction. */
export function runnerOf({ queryRunner }: EntityManager): QueryRunner {
  assert(queryRunner !== undefined, 'a transaction has a connection');
  return queryRunner;
}
