import { In, type DataSource, type EntityManager } from 'typeorm';
import { Fault } from '../../kernel/fault.ts';
import { JobRow } from '../rows/job.row.ts';
import { isUniqueViolation } from '../vault-registrations.ts';
import type { HandOut } from './hand-out.ts';
import {
  endIn,
  handedOf,
  notify,
  runnerOf,
  stored,
  type JobEnd,
  type StoredJob,
} from './job-statements.ts';

export interface JobFilter {
  readonly state?: string;
  readonly kind?: string;
  readonly limit: number;
}

const HOLDER = `
  SELECT "job"."id" AS "id", "host"."name" AS "host"
    FROM "job" LEFT JOIN "host" ON "host"."id" = coalesce("job"."claimed_by", "job"."host_id")
   WHERE "exclusive_key" = $1 AND "state" IN ('queued', 'running')`;

/** Where a VM is, with names for people. */
export interface VmPlace {
  readonly vmId: string;
  readonly vm: string;
  readonly hostId: string;
  readonly host: string;
}

const PLACES = `
  SELECT "vm"."id" AS "vmId", "vm"."name" AS "vm", "host"."id" AS "hostId", "host"."name" AS "host"
    FROM "vm" JOIN "host" ON "host"."id" = "vm"."host_id"
   WHERE "vm"."id" = ANY($1) AND "vm"."gone_at_ms" IS NULL`;

/** The runs of operations, as rows. */
export class JobRows {
  constructor(
    private readonly source: DataSource,
    private readonly handOut: HandOut,
  ) {}

  /**
   * Writes a queued job and hands it out: both or neither.
   * @param queuedMax jobs that may wait for the same host
   * @throws Fault `job.conflict` if an unfinished job has the same exclusive key, `job.refused`
   */
  async add(job: StoredJob, queuedMax: number): Promise<void> {
    const { queue } = handedOf(job);
    await this.handOut.ensure(queue);
    try {
      await this.source.transaction(async (manager) => {
        const rows = manager.getRepository(JobRow);
        // An IN finds null too, as it should not: jobs for any host are counted apart.
        const place = job.hostId === null ? {} : { hostId: job.hostId };
        if ((await rows.countBy({ state: 'queued', ...place })) >= queuedMax) {
          throw new Fault('job.refused', 'The service takes no more jobs now; try again later.');
        }
        await rows.insert(job as object);
        await this.handOut.add(runnerOf(manager), handedOf(job));
        await notify(manager, 'queued', job.id);
      });
    } catch (error) {
      if (!isUniqueViolation(error)) {
        throw error;
      }
      throw await this.conflict(job, error);
    }
  }

  private async conflict(job: StoredJob, cause: unknown): Promise<Fault> {
    const [other] = await this.source.query<{ id: string; host: string | null }[]>(HOLDER, [
      job.exclusiveKey,
    ]);
    const which = other === undefined ? '' : `, job ${other.id}`;
    const where = typeof other?.host === 'string' ? ` on the host ${other.host}` : '';
    return new Fault(
      'job.conflict',
      `Another ${job.kind} of ${subjectOf(job)} is not finished${where}${which}; wait for it or cancel it (jobs).`,
      { kind: job.kind, ...(other === undefined ? {} : { jobId: other.id }) },
      { cause },
    );
  }

  /** Writes how far a job is, unless its claim is over. */
  async report(id: string, token: string, progress: unknown): Promise<void> {
    const rows = this.source.getRepository(JobRow);
    await stored(id, async () =>
      rows.update({ id, token, state: 'running' }, { progress: progress as object }),
    );
  }

  /**
   * Ends a job whose claim has this token.
   * @returns false, and writes nothing, if the claim is over
   * @throws UnstorableRow
   */
  async end(id: string, token: string, end: JobEnd): Promise<boolean> {
    return this.source.transaction(async (manager) =>
      endIn(manager, { id, token, state: 'running' }, end),
    );
  }

  /** Ends a job that nobody has claimed. @returns false if somebody has, or it has ended */
  async endQueued(id: string, end: JobEnd): Promise<boolean> {
    return this.source.transaction(async (manager) => this.endQueuedIn(manager, id, end));
  }

  /** Ends what waits for a host, as a part of a transaction. */
  async endQueuedOf(manager: EntityManager, hostId: string, end: JobEnd): Promise<void> {
    for (const { id } of await manager.getRepository(JobRow).findBy({ hostId, state: 'queued' })) {
      await this.endQueuedIn(manager, id, end);
    }
  }

  private async endQueuedIn(manager: EntityManager, id: string, end: JobEnd): Promise<boolean> {
    if (!(await endIn(manager, { id, state: 'queued' }, end))) {
      return false;
    }
    const row = await manager.getRepository(JobRow).findOneByOrFail({ id });
    await this.handOut.remove(runnerOf(manager), handedOf(row).queue, [id]);
    return true;
  }

  /** Asks the service that runs a job to end it. */
  async requestCancel(id: string): Promise<void> {
    await this.source.transaction(async (manager) => {
      const rows = manager.getRepository(JobRow);
      await rows.update({ id, state: 'running' }, { cancelRequested: true });
      await notify(manager, 'cancel', id);
    });
  }

  async get(id: string): Promise<StoredJob | undefined> {
    const [row] = await this.many([id]);
    return row;
  }

  async many(ids: readonly string[]): Promise<StoredJob[]> {
    return this.source.getRepository(JobRow).findBy({ id: In(ids) });
  }

  /** Returns what waits on all hosts, and for any. */
  async waiting(): Promise<Pick<StoredJob, 'id' | 'kind' | 'parameters' | 'hostId'>[]> {
    return this.source.getRepository(JobRow).find({
      select: { id: true, kind: true, parameters: true, hostId: true },
      where: { state: 'queued' },
    });
  }

  /** Returns where these VMs are now, as far as they are known and not gone. */
  async placesOf(vmIds: readonly string[]): Promise<VmPlace[]> {
    return this.source.query(PLACES, [vmIds]);
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
}

function subjectOf({ subject }: StoredJob): string {
  const { vmName, vaultName } = subject;
  return vmName ?? (vaultName === undefined ? 'the same VM' : `the vault ${vaultName}`);
}
