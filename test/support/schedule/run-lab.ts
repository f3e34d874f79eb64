import { EventEmitter, once } from 'node:events';
import type { DataSource } from 'typeorm';
import { CatalogAge } from '../../../src/catalog/catalog-age.ts';
import { PolicyRows } from '../../../src/catalog/policy-rows.ts';
import { RunRows, type StoredRun } from '../../../src/catalog/run-rows.ts';
import { isFinished } from '../../../src/jobs/job.ts';
import { Jobs } from '../../../src/jobs/jobs.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { Fault } from '../../../src/kernel/fault.ts';
import { SilentLog, type LogFields } from '../../../src/kernel/log.ts';
import { PolicyDocument } from '../../../src/policies/document/policy-document.ts';
import type { HostedVm } from '../../../src/policies/hosted-vm.ts';
import { policyInForce } from '../../../src/policies/known-policy.ts';
import { RunAttempts } from '../../../src/policies/runs/run-attempts.ts';
import { Scheduler } from '../../../src/policies/runs/scheduler.ts';
import { JobsInMemory } from '../jobs/jobs-in-memory.ts';
import { HandClock } from './hand-clock.ts';

const MINUTE_MS = 60_000;

/** Keeps the warnings. */
class Warnings extends SilentLog {
  readonly told: { readonly event: string; readonly fields: LogFields }[] = [];

  override warn(event = '', fields: LogFields = {}): void {
    this.told.push({ event, fields });
  }
}

/** Backups that wait until the test ends them. */
class Backups {
  private readonly changes = new EventEmitter();
  readonly begun: { readonly vmId: string; readonly origin: object }[] = [];
  private readonly open = new Map<string, PromiseWithResolvers<object>>();

  /** @param key of a group: `group` */
  async run(parameters: object, signal: AbortSignal, key?: string): Promise<object> {
    const given = { vmId: key ?? '', ...parameters } as (typeof this.begun)[number];
    const result = Promise.withResolvers<object>();
    this.begun.push(given);
    this.open.set(given.vmId, result);
    signal.addEventListener('abort', () => {
      result.reject(signal.reason);
    });
    this.changes.emit('begun');
    return result.promise;
  }

  /** Resolves when the backup of a VM, or of a `group`, runs. */
  async running(vmId: string): Promise<PromiseWithResolvers<object>> {
    for (;;) {
      const found = this.open.get(vmId);
      if (found !== undefined) {
        this.open.delete(vmId);
        return found;
      }
      await once(this.changes, 'begun');
    }
  }
}

const HOST = '11111111-1111-4111-8111-111111111111';

/** Returns a VM of a host. */
export function labVm(name: string, hostId = HOST): HostedVm {
  const facts = { version: '1', isThis: true, lastSeenMs: 0, isLate: false };
  const host = { id: hostId, name: 'here', ...facts };
  return { id: `vm-${name}`, name, tags: [], host };
}

/** A scheduler with the jobs and rows of a service, and a clock of the test. */
export class RunLab {
  readonly clock = new HandClock('2026-05-04T09:30Z');
  readonly log = new Warnings();
  readonly rows: RunRows;
  readonly policyRows: PolicyRows;
  readonly ended = new EventEmitter();
  vms = ['web', 'db'].map((name) => labVm(name));
  backups = new Backups();
  /** Survive the process, and are those of all services on the database. */
  private readonly jobRows: JobsInMemory;
  jobs: Jobs;
  private readonly hands = new Map<string, string>();
  scheduler: Scheduler;

  /** Takes away the jobs of all services on the database. */
  static forget(source: DataSource): void {
    JobsInMemory.of(source).rows.clear();
  }

  /** @param hostId of the host whose service this is */
  constructor(
    private readonly source: DataSource,
    private readonly hostId = HOST,
  ) {
    this.jobRows = JobsInMemory.of(source);
    this.rows = new RunRows(source);
    this.policyRows = new PolicyRows(source);
    this.jobs = this.newJobs();
    this.scheduler = this.newScheduler();
  }

  private newJobs(): Jobs {
    const environment = {
      clock: new SystemClock(),
      log: new SilentLog(),
      hostId: this.hostId,
    };
    const jobs = new Jobs(this.jobRows.storage, environment, { concurrency: 8 });
    jobs.register('backup', async (parameters, { signal }) =>
      this.backups.run(parameters as object, signal),
    );
    jobs.register('backup-group', async (parameters, { signal }) =>
      this.backups.run(parameters as object, signal, 'group'),
    );
    jobs.begin();
    return jobs;
  }

  private newScheduler(): Scheduler {
    const { rows, policyRows, clock, jobs, log } = this;
    const vaults = {
      choose: async (name: string | undefined) => {
        if (name === 'unknown') {
          throw new Fault('vault.unknown', 'no such vault');
        }
        return { id: 'vault-1', name: 'main', location: '/v', singleWriter: false, createdAtMs: 1 };
      },
    };
    const onEnd = (): void => {
      this.ended.emit('end');
    };
    const options = { atOnce: 4, backoffMs: [1, 2, 5, 15].map((minutes) => minutes * MINUTE_MS) };
    const looks = { isDone: () => true, want: () => undefined, weigh: () => undefined };
    const attempts = new RunAttempts({ rows, vaults, looks, jobs, log, onEnd }, options);
    const policies = { list: async () => (await policyRows.list()).map(policyInForce) };
    const age = new CatalogAge(this.source);
    return new Scheduler({
      hostId: this.hostId,
      age,
      looks,
      rows,
      policies,
      vms: async () => this.vms,
      attempts,
      clock,
      log,
    });
  }

  async policy(name: string, parts: object = {}): Promise<void> {
    const document = PolicyDocument.parse({
      name,
      selector: { all: true },
      vault: 'main',
      schedule: { cron: '@hourly' },
      ...parts,
    });
    const by = { author: 'test', atMs: this.clock.nowMs() };
    await this.policyRows.change(by, async (changes) => changes.create(name, document));
  }

  async at(time: string): Promise<StoredRun[]> {
    this.clock.set(time);
    return this.tick();
  }

  /** Ticks. @returns all runs, oldest first */
  async tick(): Promise<StoredRun[]> {
    await this.scheduler.tick();
    return (await this.rows.list({ limit: 10_000 })).reverse();
  }

  /** Ends the running backup of a VM, and ticks. */
  async end(vm: string, how: Error | string): Promise<StoredRun[]> {
    return this.endBackup(`vm-${vm}`, typeof how === 'string' ? { pointId: how } : how);
  }

  /** Ends the running backup of a group, with a point of each VM if it succeeds, and ticks. */
  async endGroup(how?: Error): Promise<StoredRun[]> {
    const backups = this.vms.map(({ id, name }) => ({ vmId: id, pointId: `point of ${name}` }));
    return this.endBackup('group', how ?? { backups });
  }

  private async endBackup(key: string, how: object): Promise<StoredRun[]> {
    const backup = await this.backups.running(key);
    const told = once(this.ended, 'end');
    if (how instanceof Error) {
      backup.reject(how);
    } else {
      backup.resolve(how);
    }
    await told;
    return this.tick();
  }

  /** Begins a backup of a VM by hand. */
  async hand(vm: string): Promise<void> {
    const parameters = { vmId: `vm-${vm}`, origin: {} };
    const exclusiveKey = `backup vm-${vm}`;
    const { id } = await this.jobs.start({ kind: 'backup', subject: {}, parameters, exclusiveKey });
    this.hands.set(vm, id);
  }

  /** Ends the backup of a VM by hand. */
  async endHand(vm: string): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      this.jobs.watch(this.hands.get(vm) ?? '', (job) => {
        if (isFinished(job)) {
          resolve();
        }
      });
    });
    (await this.backups.running(`vm-${vm}`)).resolve({ pointId: 'by-hand' });
    await ended;
  }

  /** As if the process had been killed: nothing is written any more. Then it starts again. */
  async killAndStart(): Promise<void> {
    this.backups = new Backups();
    this.jobs = this.newJobs();
    await this.jobs.recover();
    this.scheduler = this.newScheduler();
  }
}

/** Returns runs as lines that a test compares. */
export function brief(runs: readonly StoredRun[]): string[] {
  return runs
    .map(({ vmName, fireAtMs, state, why, attempt }) => {
      const time = new Date(fireAtMs).toISOString().slice(11, 16);
      return `${time} ${vmName} ${state} ${attempt}${why === null ? '' : ` (${why})`}`;
    })
    .sort();
}
