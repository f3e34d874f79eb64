import assert from 'node:assert/strict';
import { PgBoss, policies, type Db } from 'pg-boss';
import type { DataSource, QueryRunner } from 'typeorm';
import { isFault } from '../../kernel/fault.ts';
import { aloneWithTables } from '../database/catalog-source.ts';
import type { Log } from '../../kernel/log.ts';

export const HAND_OUT_SCHEMA = 'pgboss';
const DAY_S = 86_400;

/**
 * What each queue has, said rather than left to the library. Nothing of it ends a job: an entry is
 * removed when its job is claimed, and none is ever active for longer than a statement.
 */
export const QUEUE_OPTIONS = {
  /** The most there is; the default is 15 minutes. */
  expireInSeconds: DAY_S,
  /** Ten years; the default is two weeks, after which a job that waits would be gone. */
  retentionSeconds: 3650 * DAY_S,
  deleteAfterSeconds: DAY_S,
  retryLimit: 0,
} as const;
/** One entry per key; a job without one has its id. */
const POLICY = policies.exclusive;

type Statements = Pick<QueryRunner, 'query'>;

/** What is handed out: a job, and where it waits. */
export interface HandedJob {
  readonly id: string;
  readonly queue: string;
  readonly key: string;
  readonly priority: number;
}

/** Returns the queue of a host's lane; `null`: of jobs that any host may run. */
export function queueOf(hostId: string | null, lane: string): string {
  return `${hostId ?? 'any-host'}.${lane}`;
}

/**
 * Hands out the ids of queued jobs in order, by pg-boss: more important ones first, then older
 * ones. It has no worker, no timer of jobs and no connection of its own: every call is part of the
 * transaction in which the row of the job changes too.
 */
export class HandOut implements AsyncDisposable {
  private readonly known = new Set<string>();
  private readonly boss: PgBoss;

  private constructor(boss: PgBoss) {
    this.boss = boss;
  }

  /** Makes the library's tables if there are none, and brings older ones up to date. */
  static async open(source: DataSource, log: Log): Promise<HandOut> {
    const db = {
      executeSql: async (text: string, values?: unknown[]) => own(source, text, values),
    };
    const boss = new PgBoss({
      db,
      schema: HAND_OUT_SCHEMA,
      supervise: false,
      schedule: false,
      registerInstance: false,
      monitorVacuum: false,
      persistWarnings: false,
      openTelemetry: { enabled: false },
      queueCacheIntervalSeconds: DAY_S,
      bamIntervalSeconds: DAY_S,
    });
    boss.on('error', (error) => {
      // A database that is away is told by whoever holds it.
      if (!isFault(error)) {
        log.warn('job.hand-out-failed', { error });
      }
    });
    await aloneWithTables(source, async () => boss.start());
    return new HandOut(boss);
  }

  /** Makes a queue if there is none. Not in a transaction. */
  async ensure(queue: string): Promise<void> {
    if (!this.known.has(queue)) {
      await this.boss.createQueue(queue, { policy: POLICY, ...QUEUE_OPTIONS });
      this.known.add(queue);
    }
  }

  /** Whether this process made the queue, or saw that it is there. */
  isKnown(queue: string): boolean {
    return this.known.has(queue);
  }

  async add(runner: Statements, { id, queue, key, priority }: HandedJob): Promise<void> {
    const options = { id, priority, singletonKey: key, db: through(runner) };
    const sent = await this.boss.send(queue, {}, options);
    // The row's own index refuses a second unfinished job with the same key before.
    assert(sent === id, `the queue ${queue} did not take the job ${id}`);
  }

  /** Adds those jobs of a queue that are not there. */
  async addMissing(runner: Statements, queue: string, jobs: readonly HandedJob[]): Promise<void> {
    const entries = jobs.map(({ id, key, priority }) => ({ id, priority, singletonKey: key }));
    if (entries.length > 0) {
      await this.boss.insert(queue, entries, { db: through(runner) });
    }
  }

  /** Returns the ids of the first jobs in order, and leaves them there. */
  async first(runner: Statements, queue: string, count: number): Promise<string[]> {
    await runner.query('SAVEPOINT "look"');
    // Entries carry the database's time; a clock that went back must not hide them.
    const options = { batchSize: count, ignoreStartAfter: true, db: through(runner) };
    const found = await this.boss.fetch(queue, options);
    await runner.query('ROLLBACK TO SAVEPOINT "look"');
    return found.map(({ id }) => id);
  }

  async remove(runner: Statements, queue: string, ids: readonly string[]): Promise<void> {
    if (ids.length > 0) {
      await this.boss.deleteJob(queue, [...ids], { db: through(runner) });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.boss.stop({ graceful: false });
  }
}

function through(runner: Statements): Db {
  return {
    executeSql: async (text, values) => {
      const { records } = await runner.query(text, values, true);
      return { rows: records as unknown[] };
    },
  };
}

async function own(
  source: DataSource,
  text: string,
  values?: unknown[],
): Promise<{ rows: unknown[] }> {
  const runner = source.createQueryRunner();
  try {
    return await through(runner).executeSql(text, values);
  } catch (error) {
    // The library sends whole transactions as one text; the next user of the connection has none.
    await runner.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    await runner.release();
  }
}
