import type { CatalogAge } from '../../catalog/catalog-age.ts';
import type { RunRows, StoredRun } from '../../catalog/run-rows.ts';
import { actingAs, SERVICE_ACTOR } from '../../kernel/actor.ts';
import type { Log } from '../../kernel/log.ts';
import type { HostedVm } from '../hosted-vm.ts';
import { isReadable, isUnreadable, type KnownPolicy, type PolicyInForce } from '../known-policy.ts';
import { dueOf, firing, isDue } from './firing.ts';
import type { RunAttempts } from './run-attempts.ts';
import type { SchedulingClock } from './scheduling-clock.ts';
import type { VaultLooks } from './vault-looks.ts';

/** Horizons of policies of which nothing is due are moved this often: a row a policy each time. */
const HORIZON_MS = 60_000;

export interface SchedulerParts {
  /** Whose runs are started here. Those of all hosts are written down by whoever looks first. */
  readonly hostId: string;
  readonly rows: Pick<RunRows, 'unfinished' | 'follow' | 'fire' | 'moveHorizons' | 'credit'>;
  readonly policies: { list(): Promise<PolicyInForce[]> };
  readonly vms: (signal: AbortSignal) => Promise<HostedVm[]>;
  readonly attempts: Pick<RunAttempts, 'settle' | 'start'>;
  readonly age: Pick<CatalogAge, 'version' | 'unknownRuns'>;
  readonly looks: Pick<VaultLooks, 'weigh'>;
  readonly clock: SchedulingClock;
  readonly log: Log;
}

/** Takes the points that policies ask for, whenever somebody calls `tick`. */
export class Scheduler {
  private readonly parts: SchedulerParts;
  private readonly stopping = new AbortController();
  private ticking: Promise<void> | undefined;
  /** Somebody asked for a tick during one. */
  private again = false;
  private trouble: string | undefined;
  /** Whether the vaults know more than the database, at this version of both. */
  private older = { at: '', isOlder: false };
  /** Revisions that cannot be read, of which the log tells already. */
  private unreadable = new Set<string>();

  constructor(parts: SchedulerParts) {
    this.parts = parts;
  }

  /**
   * Looks at all schedules and all runs, once at a time. Resolves when nothing is left to do now,
   * also after a failure, which the log has: the next tick tries again.
   */
  async tick(): Promise<void> {
    this.again = true;
    this.ticking ??= actingAs(SERVICE_ACTOR, () => this.work()).finally(() => {
      this.ticking = undefined;
    });
    await this.ticking;
  }

  /** Begins nothing any more, and resolves when the present tick has ended. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.ticking;
  }

  private async work(): Promise<void> {
    while (this.again && !this.stopping.signal.aborted) {
      this.again = false;
      const startedMs = performance.now();
      try {
        const wrong = await this.parts.clock.problem();
        const problem = wrong ?? (await this.agedProblem());
        if (wrong === undefined) {
          await this.look(this.parts.clock.nowMs(), { fires: problem === undefined });
        }
        this.tell(problem);
      } catch (error) {
        this.tell('the look failed', error);
      }
      this.parts.log.debug('schedule.looked', { durationMs: performance.now() - startedMs });
    }
  }

  /** Says once that nothing fires, and once that it does again. */
  private tell(trouble: string | undefined, error?: unknown): void {
    if (trouble !== this.trouble && !this.stopping.signal.aborted) {
      if (trouble === undefined) {
        this.parts.log.info('schedule.goes-on');
      } else {
        this.parts.log.warn('schedule.stands-still', { trouble, ...(error ? { error } : {}) });
      }
      this.trouble = trouble;
    }
  }

  /** Gives runs that were given up the points that the vaults turn out to have of them. */
  private async credit(): Promise<void> {
    for (const { id, policyName: policy, vmName: vm } of await this.parts.rows.credit()) {
      this.parts.log.info('run.changed', { runId: id, policy, vm, state: 'sealed' });
    }
  }

  /** A database that was restored from an older dump fires nothing until a person says so. */
  private async agedProblem(): Promise<string | undefined> {
    const { age, looks } = this.parts;
    looks.weigh();
    const at = await age.version();
    if (at !== this.older.at) {
      await this.credit();
      this.older = { at, isOlder: (await age.unknownRuns()) !== undefined };
    }
    return this.older.isOlder
      ? 'the vaults have points of runs that the database does not know; see hyperkeep status'
      : undefined;
  }

  /** Says of each policy once that it cannot be read. It fires nothing, and its runs wait. */
  private tellUnreadable(policies: readonly PolicyInForce[]): void {
    const told = this.unreadable;
    this.unreadable = new Set();
    for (const { id, name, revision, problem } of policies.filter(isUnreadable)) {
      const key = `${id} ${String(revision)}`;
      this.unreadable.add(key);
      if (!told.has(key)) {
        this.parts.log.warn('policy.unreadable', { policy: name, revision, problem });
      }
    }
  }

  /** Brings runs up to date with their jobs, and unless it stands still, begins what is due. */
  private async look(nowMs: number, { fires }: { readonly fires: boolean }): Promise<void> {
    const { rows, attempts, policies, hostId } = this.parts;
    const all = new Map((await policies.list()).map((policy) => [policy.id, policy]));
    const found = await this.unfinished();
    const own = found.filter((run) => run.hostId === hostId);
    const others = found.filter((run) => run.hostId !== hostId);
    const unfinished = [...others, ...(await attempts.settle(own, all, nowMs))];
    this.tellUnreadable([...all.values()]);
    if (!fires) {
      return;
    }
    const fired = await this.fire([...all.values()].filter(isReadable), unfinished, nowMs);
    const runs = fired ? await rows.unfinished() : unfinished;
    if (runs.length > 0) {
      await attempts.start(runs, all, { nowMs, hostId });
    }
  }

  /** Returns all runs that have not ended, after those were taken over whose VMs came here. */
  private async unfinished(): Promise<StoredRun[]> {
    const { rows, hostId, log } = this.parts;
    const found = await rows.unfinished();
    if (found.every((run) => run.hostId === hostId)) {
      return found;
    }
    const taken = await rows.follow(hostId);
    for (const { id, policyName: policy, vmName: vm } of taken) {
      log.info('run.taken-over', { runId: id, policy, vm });
    }
    return taken.length > 0 ? rows.unfinished() : found;
  }

  /** @returns whether rows were written */
  private async fire(
    policies: readonly KnownPolicy[],
    unfinished: readonly StoredRun[],
    nowMs: number,
  ): Promise<boolean> {
    const { rows, log } = this.parts;
    let vms: HostedVm[] | undefined;
    let fired = false;
    const quiet: string[] = [];
    for (const policy of policies) {
      const due = policy.paused ? undefined : dueOf(policy, nowMs);
      if (due !== undefined && isDue(due)) {
        vms ??= await this.parts.vms(this.stopping.signal);
        const own = unfinished.filter(({ policyId }) => policyId === policy.id);
        const found = firing(policy, { due, nowMs, vms, unfinished: own });
        if (due.notBeforeMs !== undefined) {
          const { name } = policy;
          log.warn('schedule.missed', {
            policy: name,
            fromMs: policy.horizonMs,
            untilMs: due.notBeforeMs,
          });
        }
        fired = (await rows.fire(found)) || fired;
      } else if (nowMs - policy.horizonMs >= HORIZON_MS) {
        quiet.push(policy.id);
      }
    }
    if (quiet.length > 0) {
      await rows.moveHorizons(quiet, nowMs);
    }
    return fired;
  }
}
