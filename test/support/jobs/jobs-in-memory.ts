import { EventEmitter, once } from 'node:events';
import { randomUUID } from 'node:crypto';
import type { ClaimOrder, ClaimedJob } from '../../../src/catalog/jobs/job-claims.ts';
import type { LeaseListener } from '../../../src/catalog/jobs/job-leases.ts';
import { JobRoom } from '../../../src/catalog/jobs/job-room.ts';
import {
  UnstorableRow,
  type JobEnd,
  type StoredJob,
} from '../../../src/catalog/jobs/job-statements.ts';
import type { JobStorage } from '../../../src/jobs/live-job.ts';
import { Fault } from '../../../src/kernel/fault.ts';

const OPEN: readonly string[] = ['queued', 'running'];

const SHARED = new WeakMap<object, JobsInMemory>();

/** Rows of jobs in memory, with the unique index of the table. */
export class JobsInMemory {
  /** Returns those of everybody who has this. */
  static of(owner: object): JobsInMemory {
    const found = SHARED.get(owner) ?? new JobsInMemory();
    SHARED.set(owner, found);
    return found;
  }

  readonly rows = new Map<string, StoredJob>();
  readonly changes = new EventEmitter();
  broken = false;
  /** Ids whose results and faults the database does not accept. */
  readonly unstorable = new Set<string>();
  /** An INSERT waits for this. */
  beforeAdd = async (): Promise<void> => undefined;
  /** An INSERT is done, and this is what its caller hears. */
  afterAdd = async (): Promise<void> => undefined;
  /** An UPDATE of a progress waits for this. */
  beforeReport = async (): Promise<void> => undefined;
  listener: LeaseListener | undefined;

  get storage(): JobStorage {
    return {
      rows: {
        add: async (job) => this.add(job),
        report: async (id, token, progress) => {
          await this.beforeReport();
          this.change({ id, token, state: 'running' }, { progress });
        },
        end: async (id, token, end) => this.end({ id, token, state: 'running' }, end),
        endQueued: async (id, end) => this.end({ id, state: 'queued' }, end),
        requestCancel: async () => undefined,
        get: async (id) => this.rows.get(id),
        many: async (ids) => [...this.rows.values()].filter(({ id }) => ids.includes(id)),
        starting: async (prefix) =>
          [...this.rows.values()].filter(({ id }) => id.startsWith(prefix)).slice(0, 2),
        list: async () => [...this.rows.values()].reverse(),
        waiting: async () => [],
        placesOf: async () => [],
      },
      claims: {
        claim: async (order) => this.claim(order),
        all: async () => [],
        endStale: async () => false,
        endClaimsOf: async (hostId, end) => {
          const own = [...this.rows.values()].filter(
            ({ state, claimedBy }) => state === 'running' && claimedBy === hostId,
          );
          own.forEach(({ id }) => this.end({ id, state: 'running' }, end));
          return own.map(({ id }) => id);
        },
        handOutMissing: async () => undefined,
      },
      leases: {
        terms: { leaseMs: 60_000, renewMs: 15_000, standstillMs: 600_000 },
        hold: () => ({ sign: () => undefined, release: () => undefined }),
        listen: (listener) => {
          this.listener = listener;
        },
      },
      signals: { listen: () => undefined },
      vaults: { look: async () => ({ isFor: () => true, problem: () => undefined }) },
    };
  }

  /** Resolves when the row has this state. */
  async updated(id: string, state: string): Promise<void> {
    while (this.rows.get(id)?.state !== state) {
      await once(this.changes, 'update');
    }
  }

  private async add(job: StoredJob): Promise<void> {
    await this.beforeAdd();
    const { exclusiveKey } = job;
    const unfinished = [...this.rows.values()].filter(({ state }) => OPEN.includes(state));
    if (exclusiveKey !== null && unfinished.some((row) => row.exclusiveKey === exclusiveKey)) {
      throw new Fault('job.conflict', 'busy');
    }
    this.rows.set(job.id, job);
    await this.afterAdd();
  }

  private claim({ hostId, limits, nowMs }: ClaimOrder): ClaimedJob[] {
    const rows = [...this.rows.values()];
    const room = new JobRoom(
      hostId,
      limits,
      rows.filter(({ state }) => state === 'running'),
    );
    const taken = rows.filter(
      (row) => row.state === 'queued' && [hostId, null].includes(row.hostId) && room.take(row),
    );
    return taken.map((row) => {
      const claim = { state: 'running', claimedBy: hostId, startedAtMs: nowMs };
      const claimed = { ...row, ...claim, token: randomUUID() };
      this.rows.set(row.id, claimed);
      this.changes.emit('update');
      return claimed;
    });
  }

  private end(found: Partial<StoredJob> & { readonly id: string }, end: JobEnd): boolean {
    if (this.unstorable.has(found.id) && (end.result !== undefined || end.fault !== undefined)) {
      throw new UnstorableRow(found.id);
    }
    return this.change(found, end);
  }

  private change(found: Partial<StoredJob> & { readonly id: string }, change: JobEnd): boolean {
    if (this.broken) {
      throw new Error('no database');
    }
    const row = this.rows.get(found.id);
    const isIt = row?.state === found.state && (found.token ?? row?.token) === row?.token;
    if (row === undefined || !isIt) {
      return false;
    }
    this.rows.set(found.id, { ...row, ...change });
    this.changes.emit('update');
    return true;
  }
}
