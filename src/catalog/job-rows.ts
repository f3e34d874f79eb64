import { In, QueryFailedError, type DataSource } from 'typeorm';
import { Fault } from '../kernel/fault.ts';
import { JobRow } from './rows/job.row.ts';
import { isUniqueViolation } from './vault-registrations.ts';

export type StoredJob = Readonly<JobRow>;

export interface JobFilter {
  readonly state?: string;
  readonly kind?: string;
  readonly limit: number;
}

const UNFINISHED = ['queued', 'running'];
/** Classes of SQLSTATE: data exception, program limit exceeded. The same row fails again. */
const UNSTORABLE = /^(22|54)/;

/** The database does not accept the row's content: trying again does not help. */
export class UnstorableRow extends Error {}

/** The runs of operations, as rows. */
export class JobRows {
  constructor(private readonly source: DataSource) {}

  /** @throws Fault `job.conflict` if an unfinished job has the same exclusive key */
  async add(job: StoredJob): Promise<void> {
    try {
      await this.source.getRepository(JobRow).insert(job as object);
    } catch (error) {
      if (!isUniqueViolation(error)) {
        throw error;
      }
      throw new Fault(
        'job.conflict',
        `Another ${job.kind} of ${subjectOf(job)} is not finished; wait for it or cancel it (jobs).`,
        { kind: job.kind },
        { cause: error },
      );
    }
  }

  /**
   * Changes the given columns of a job.
   * @throws UnstorableRow
   */
  async update(id: string, change: Partial<Omit<StoredJob, 'id'>>): Promise<void> {
    try {
      await this.source.getRepository(JobRow).update({ id }, change as object);
    } catch (error) {
      throw isUnstorable(error)
        ? new UnstorableRow(`the row of job ${id}`, { cause: error })
        : error;
    }
  }

  async get(id: string): Promise<StoredJob | undefined> {
    return (await this.source.getRepository(JobRow).findOneBy({ id })) ?? undefined;
  }

  /** Returns at most two jobs whose id begins so. @param prefix hex digits and dashes */
  async starting(prefix: string): Promise<StoredJob[]> {
    return this.source
      .getRepository(JobRow)
      .createQueryBuilder('job')
      .where('CAST(job.id AS text) LIKE :like', { like: `${prefix.toLowerCase()}%` })
      .limit(2)
      .getMany();
  }

  /** Lists jobs, newest first. */
  async list({ state, kind, limit }: JobFilter): Promise<StoredJob[]> {
    return this.source.getRepository(JobRow).find({
      where: { ...(state === undefined ? {} : { state }), ...(kind === undefined ? {} : { kind }) },
      order: { createdAtMs: 'DESC', id: 'DESC' },
      take: limit,
    });
  }

  /**
   * Ends every unfinished job of a host; for the start of its service, when none can be running.
   * @returns their ids
   */
  async endUnfinished(
    { state, fault, finishedAtMs }: Pick<StoredJob, 'state' | 'fault' | 'finishedAtMs'>,
    hostId: string,
  ): Promise<string[]> {
    const rows = this.source.getRepository(JobRow);
    const found = await rows.find({
      select: { id: true, subject: true },
      where: { state: In(UNFINISHED) },
    });
    // Without a host they are of a version that had the database to itself.
    const own = found.filter(({ subject }) => (subject['hostId'] ?? hostId) === hostId);
    const ids = own.map(({ id }) => id);
    if (ids.length > 0) {
      await rows.update({ id: In(ids) }, { state, fault: fault as object, finishedAtMs });
    }
    return ids;
  }
}

function isUnstorable(error: unknown): boolean {
  if (!(error instanceof QueryFailedError)) {
    return false;
  }
  const { code } = error.driverError as { code?: unknown };
  return typeof code === 'string' && UNSTORABLE.test(code);
}

function subjectOf({ subject }: StoredJob): string {
  const { vmName, vaultName } = subject;
  return vmName ?? (vaultName === undefined ? 'the same VM' : `the vault ${vaultName}`);
}
