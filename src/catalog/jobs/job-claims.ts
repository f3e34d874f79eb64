import { In, IsNull, type DataSource, type EntityManager } from 'typeorm';
import { JobRow } from '../rows/job.row.ts';
import { type HandOut, queueOf } from './hand-out.ts';
import { JobRoom, type LaneLimits } from './job-room.ts';
import {
  endIn,
  handedOf,
  notify,
  runnerOf,
  type JobEnd,
  type StoredJob,
} from './job-statements.ts';

/** Who claims, and how much. */
export interface ClaimOrder {
  readonly hostId: string;
  readonly nowMs: number;
  readonly leaseMs: number;
  /** By lane. */
  readonly limits: Readonly<Record<string, LaneLimits>>;
  readonly newToken: () => string;
  /** Asked if jobs wait that any host may run: returns whether this one should. */
  readonly fit: () => Promise<(job: StoredJob) => boolean>;
}

/** A claim that must be renewed. */
export type ClaimedJob = StoredJob & { readonly token: string };

interface Queue {
  readonly lane: string;
  readonly hostId: string | null;
}

/** A claim as somebody else sees it. */
export type SeenClaim = Readonly<
  Pick<JobRow, 'id' | 'token' | 'leaseUntilMs' | 'leaseMs' | 'claimedBy'>
>;

/** Waiting jobs are looked at so many at a time. */
const LOOK_COUNT = 50;
const LOOK_COUNT_ALL = 1000;

/** Who runs which job: claims with a lease, as columns of the job's row. */
export class JobClaims {
  constructor(
    private readonly source: DataSource,
    private readonly handOut: HandOut,
  ) {}

  /**
   * Claims queued jobs in order, as far as there is room. Room is counted by one at a time, however
   * many services ask.
   */
  async claim(order: ClaimOrder): Promise<ClaimedJob[]> {
    const waiting = await this.waiting(this.source.manager, order.hostId);
    if (waiting.length === 0) {
      return [];
    }
    // Not in the transaction: others wait for its end, and a queue is made on another connection.
    for (const { hostId, lane } of waiting) {
      await this.handOut.ensure(queueOf(hostId, lane));
    }
    const isFit = waiting.some(({ hostId }) => hostId === null) ? await order.fit() : () => false;
    return this.source.transaction(async (manager) => {
      await manager.query('SELECT "only" FROM "job_gate" FOR UPDATE');
      const running = await manager.getRepository(JobRow).findBy({ state: 'running' });
      const room = new JobRoom(order.hostId, order.limits, running, order.nowMs);
      const claimed: ClaimedJob[] = [];
      // What began to wait meanwhile has told its news: somebody looks again.
      const queues = (await this.waiting(manager, order.hostId)).filter(({ hostId, lane }) =>
        this.handOut.isKnown(queueOf(hostId, lane)),
      );
      for (const lane of new Set(queues.map((queue) => queue.lane))) {
        if (room.isIn(lane)) {
          const own = queues.filter((queue) => queue.lane === lane);
          claimed.push(...(await this.claimIn(manager, own, { lane, room, order, isFit })));
        }
      }
      return claimed;
    });
  }

  /** Returns the queues in which something waits for this host. */
  private async waiting(manager: EntityManager, hostId: string): Promise<Queue[]> {
    return manager
      .getRepository(JobRow)
      .createQueryBuilder('job')
      .select('job.lane', 'lane')
      .addSelect('job.host_id', 'hostId')
      .distinct(true)
      .where("job.state = 'queued' AND (job.host_id = :hostId OR job.host_id IS NULL)", { hostId })
      .getRawMany<Queue>();
  }

  private async claimIn(
    manager: EntityManager,
    queues: readonly Queue[],
    {
      lane,
      room,
      order,
      isFit,
    }: {
      readonly lane: string;
      readonly room: JobRoom;
      readonly order: ClaimOrder;
      readonly isFit: (job: StoredJob) => boolean;
    },
  ): Promise<ClaimedJob[]> {
    const claimed: ClaimedJob[] = [];
    for (const count of [LOOK_COUNT, LOOK_COUNT_ALL]) {
      const { rows, isAll } = await this.first(manager, queues, count);
      for (const row of rows) {
        const isOurs = row.hostId !== null || isFit(row);
        if (isOurs && !claimed.some(({ id }) => id === row.id) && room.take(row)) {
          claimed.push(await this.take(manager, row, order));
        }
      }
      if (isAll || !room.isIn(lane)) {
        break;
      }
    }
    return claimed;
  }

  /** Returns the first jobs of these queues in their common order. */
  private async first(
    manager: EntityManager,
    queues: readonly Queue[],
    count: number,
  ): Promise<{ rows: StoredJob[]; isAll: boolean }> {
    const ids: string[] = [];
    let isAll = true;
    for (const { hostId, lane } of queues) {
      const queue = queueOf(hostId, lane);
      const found = await this.handOut.first(runnerOf(manager), queue, count);
      isAll = isAll && found.length < count;
      ids.push(...found);
    }
    const rows = await manager.getRepository(JobRow).find({
      where: { id: In(ids), state: 'queued' },
      order: { priority: 'DESC', createdAtMs: 'ASC', id: 'ASC' },
    });
    await this.removeStray(manager, queues, ids, rows);
    return { rows, isAll };
  }

  /** Entries whose job waits no more, as after a restored dump. */
  private async removeStray(
    manager: EntityManager,
    queues: readonly Queue[],
    ids: readonly string[],
    rows: readonly StoredJob[],
  ): Promise<void> {
    const stray = ids.filter((id) => !rows.some((row) => row.id === id));
    for (const { hostId, lane } of stray.length === 0 ? [] : queues) {
      await this.handOut.remove(runnerOf(manager), queueOf(hostId, lane), stray);
    }
  }

  private async take(
    manager: EntityManager,
    row: StoredJob,
    { hostId, nowMs, leaseMs, newToken }: ClaimOrder,
  ): Promise<ClaimedJob> {
    const claim = {
      ...{ state: 'running', startedAtMs: nowMs, claimedBy: hostId, token: newToken() },
      ...{ leaseUntilMs: nowMs + leaseMs, leaseMs },
    };
    await manager.getRepository(JobRow).update({ id: row.id, state: 'queued' }, claim);
    await this.handOut.remove(runnerOf(manager), queueOf(row.hostId, row.lane), [row.id]);
    await notify(manager, 'claimed', row.id);
    return { ...row, ...claim };
  }

  /** Returns the claims of all services. */
  async all(): Promise<SeenClaim[]> {
    return this.source
      .getRepository(JobRow)
      .createQueryBuilder('job')
      .select(['job.id', 'job.token', 'job.leaseUntilMs', 'job.leaseMs', 'job.claimedBy'])
      .where("job.state = 'running'")
      .getMany();
  }

  /** Ends a job whose claim was not renewed since it was seen. @returns whether it was so */
  async endStale({ id, token, leaseUntilMs }: SeenClaim, end: JobEnd): Promise<boolean> {
    const stale = {
      id,
      state: 'running',
      ...(token && { token }),
      ...(leaseUntilMs && { leaseUntilMs }),
    };
    return this.source.transaction(async (manager) => endIn(manager, stale, end));
  }

  /** Ends what a former service of this host ran. @returns the ids */
  async endClaimsOf(hostId: string, end: JobEnd): Promise<string[]> {
    return this.source.transaction(async (manager) => {
      const rows = manager.getRepository(JobRow);
      const found = await rows.findBy({ state: 'running', claimedBy: hostId });
      for (const { id } of found) {
        await endIn(manager, { id, state: 'running' }, end);
      }
      return found.map(({ id }) => id);
    });
  }

  /** Hands the queued jobs of a host out again that are not, as after a restored dump. */
  async handOutMissing(hostId: string): Promise<void> {
    const rows = this.source.getRepository(JobRow);
    for (const { hostId: of, lane } of await this.waiting(this.source.manager, hostId)) {
      const queue = queueOf(of, lane);
      await this.handOut.ensure(queue);
      const where = { state: 'queued', lane, hostId: of ?? IsNull() };
      const jobs = (await rows.findBy(where)).map(handedOf);
      await this.source.transaction(async (manager) =>
        this.handOut.addMissing(runnerOf(manager), queue, jobs),
      );
    }
  }
}
