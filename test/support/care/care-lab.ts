import { EventEmitter, once } from 'node:events';
import type { DataSource } from 'typeorm';
import { CareRevisions } from '../../../src/catalog/care/care-revisions.ts';
import { CareRunRows, type StoredCareRun } from '../../../src/catalog/care/care-run-rows.ts';
import { CareTasks, type StoredCareTask } from '../../../src/catalog/care/care-tasks.ts';
import { CatalogAge } from '../../../src/catalog/catalog-age.ts';
import { PolicyRows } from '../../../src/catalog/policy-rows.ts';
import { CareAttempts } from '../../../src/care/care-attempts.ts';
import { CareScheduler } from '../../../src/care/care-scheduler.ts';
import { Care } from '../../../src/care/care.service.ts';
import { Jobs } from '../../../src/jobs/jobs.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { SilentLog, type LogFields } from '../../../src/kernel/log.ts';
import { careInForce } from '../../../src/policies/care/care-in-force.ts';
import { CareDocument } from '../../../src/policies/document/care-document.ts';
import { JobsInMemory } from '../jobs/jobs-in-memory.ts';
import { HandClock } from '../schedule/hand-clock.ts';

const MINUTE_MS = 60_000;
const KINDS = ['prune', 'scrub', 'keep', 'copy'] as const;
/** The vault of the labs. */
export const VAULT = { id: '0'.repeat(32), name: 'main', locked: false };

interface Told {
  readonly event: string;
  readonly fields: LogFields;
}

class Telling extends SilentLog {
  readonly told: Told[] = [];

  override info(event = '', fields: LogFields = {}): void {
    this.told.push({ event, fields });
  }

  override warn(event = '', fields: LogFields = {}): void {
    this.told.push({ event, fields });
  }
}

/** A job that waits until the test ends it. */
interface Open extends PromiseWithResolvers<object> {
  readonly kind: string;
  readonly parameters: object;
}

/** The care of one service: its scheduler, rows and jobs, and a clock of the test. */
export class CareLab {
  readonly clock = new HandClock('2026-05-04T12:00Z');
  readonly log = new Telling();
  readonly rows: CareRunRows;
  readonly tasks: CareTasks;
  readonly begun: Open[] = [];
  vault = { ...VAULT };
  /** Whether this service has the key of the vault. */
  hasKey = true;
  /** Ids of the hosts that are seen. */
  live: string[];
  isDecided = true;
  scheduler: CareScheduler;
  private jobs: Jobs;
  private readonly changes = new EventEmitter();

  /** Takes away the jobs of all services on the database. */
  static forget(source: DataSource): void {
    JobsInMemory.of(source).rows.clear();
  }

  constructor(
    private readonly source: DataSource,
    readonly hostId: string,
  ) {
    this.rows = new CareRunRows(source);
    this.tasks = new CareTasks(source);
    this.live = [hostId];
    this.jobs = this.newJobs();
    this.scheduler = this.newScheduler();
  }

  get care(): Care {
    const { scheduler, rows, tasks, clock } = this;
    return new Care({ scheduler, rows, tasks, clock });
  }

  private newJobs(): Jobs {
    const environment = { clock: new SystemClock(), log: new SilentLog(), hostId: this.hostId };
    const jobs = new Jobs(JobsInMemory.of(this.source).storage, environment, { concurrency: 8 });
    for (const kind of KINDS) {
      jobs.register(kind, async (parameters, { signal }) => {
        const open = { ...Promise.withResolvers<object>(), kind, parameters: parameters as object };
        signal.addEventListener('abort', () => {
          open.reject(signal.reason);
        });
        this.begun.push(open);
        this.changes.emit('change');
        return open.promise;
      });
    }
    jobs.begin();
    return jobs;
  }

  private newScheduler(): CareScheduler {
    const { rows, tasks, clock, log, hostId, jobs, source } = this;
    const onEnd = (): void => {
      this.changes.emit('change');
    };
    const vaults = { list: async () => [registered(this.vault)], canAct: async () => this.hasKey };
    const retention = { decidedSince: async () => this.isDecided };
    const common = { hostId, rows, tasks, vaults, log };
    const backoffMs = [1, 2, 5, 15].map((minutes) => minutes * MINUTE_MS);
    const attempts = new CareAttempts({ ...common, jobs, retention, onEnd }, backoffMs);
    const revisions = new CareRevisions(source);
    const policies = {
      list: async () => [],
      care: async () => (await revisions.list()).map(careInForce),
    };
    return new CareScheduler({
      ...{ ...common, policies, attempts, clock, age: new CatalogAge(source) },
      hosts: async () => this.live.map((id) => ({ id, isLate: false })),
    });
  }

  /** Writes what is wanted, in place of what was. */
  async write(parts: object): Promise<void> {
    const document = CareDocument.parse({ vault: VAULT.name, ...parts });
    const by = { author: 'test', atMs: this.clock.nowMs() };
    await new PolicyRows(this.source).change(by, async ({ care }) =>
      care.revise(VAULT.name, 'changed', document),
    );
  }

  async at(time: string): Promise<StoredCareRun[]> {
    this.clock.set(time);
    return this.tick();
  }

  /** Ticks. @returns all runs, oldest first */
  async tick(): Promise<StoredCareRun[]> {
    await this.scheduler.tick();
    return (await this.rows.list({ limit: 10_000 })).reverse();
  }

  async task(name: string): Promise<StoredCareTask | undefined> {
    return (await this.tasks.list()).find(({ task }) => task === name);
  }

  /** Resolves when so many jobs have begun here. */
  async running(amount = 1): Promise<Open> {
    for (;;) {
      const open = this.begun[amount - 1];
      if (open !== undefined) {
        return open;
      }
      await once(this.changes, 'change');
    }
  }

  /** Ends the newest job, and ticks. @returns all runs, oldest first */
  async end(how?: Error, amount = this.begun.length): Promise<StoredCareRun[]> {
    const job = await this.running(amount);
    const told = once(this.changes, 'change');
    if (how === undefined) {
      job.resolve({});
    } else {
      job.reject(how);
    }
    await told;
    return this.tick();
  }

  /** As if the process had been killed: nothing is written any more. Then it starts again. */
  async killAndStart(): Promise<void> {
    this.jobs = this.newJobs();
    await this.jobs.recover();
    this.scheduler = this.newScheduler();
  }

  /** How often something was said. */
  said(event: string): LogFields[] {
    return this.log.told.filter((each) => each.event === event).map(({ fields }) => fields);
  }
}

function registered(vault: typeof VAULT) {
  return { ...vault, location: '/v', singleWriter: false, createdAtMs: 1 };
}

/** Returns runs as lines that a test compares. */
export function brief(runs: readonly StoredCareRun[]): string[] {
  return runs.map(({ task, fireAtMs, state, why, attempt }) => {
    const time = new Date(fireAtMs).toISOString().slice(5, 16);
    return `${time} ${task} ${state} ${String(attempt)}${why === null ? '' : ` (${why})`}`;
  });
}
