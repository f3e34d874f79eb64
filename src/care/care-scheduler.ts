import type { CareRunRows, StoredCareRun } from '../catalog/care/care-run-rows.ts';
import type { CareTasks, StoredCareTask } from '../catalog/care/care-tasks.ts';
import type { CatalogAge } from '../catalog/catalog-age.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { actingAs, SERVICE_ACTOR } from '../kernel/actor.ts';
import type { Log } from '../kernel/log.ts';
import { isReadableCare, type CareInForce } from '../policies/care/care-in-force.ts';
import { isReadable, type PolicyInForce } from '../policies/known-policy.ts';
import type { SchedulingClock } from '../policies/runs/scheduling-clock.ts';
import type { CareAttempts, CareLook } from './care-attempts.ts';
import { careFiring } from './care-firing.ts';
import { careTasks, type CareTask } from './care-task.ts';

/** Copies are looked at this often whether they lack something for too long. */
const LAG_MS = 60_000;
/** Said of a copy with which nothing else is wrong. */
const LATE = 'it lacks a point that is older than it may be';

export interface CareSchedulerParts {
  readonly hostId: string;
  readonly rows: Pick<CareRunRows, 'unfinished' | 'fire'>;
  readonly tasks: Pick<CareTasks, 'list' | 'add' | 'reschedule' | 'remove' | 'lagOf'>;
  readonly policies: { list(): Promise<PolicyInForce[]>; care(): Promise<CareInForce[]> };
  readonly vaults: Pick<RegisteredVaults, 'list'>;
  readonly hosts: () => Promise<readonly { readonly id: string; readonly isLate: boolean }[]>;
  readonly attempts: Pick<CareAttempts, 'settle' | 'start' | 'drop' | 'tellTrouble' | 'tellWell'>;
  readonly age: Pick<CatalogAge, 'unknownRuns'>;
  readonly clock: SchedulingClock;
  readonly log: Log;
}

/** What is wanted now. */
interface Wanted {
  readonly tasks: readonly CareTask[];
  /** Vaults of which nobody knows what is wanted. */
  readonly unreadable: ReadonlySet<string>;
}

/** Cares for vaults by itself, whenever somebody calls `tick`. */
export class CareScheduler {
  private readonly parts: CareSchedulerParts;
  private ticking: Promise<void> | undefined;
  /** Somebody asked for a tick during one. */
  private again = false;
  private isStopped = false;
  private lagAtMs = -Infinity;
  private trouble: string | undefined;

  constructor(parts: CareSchedulerParts) {
    this.parts = parts;
  }

  /** Looks at all that is due, once at a time. Never fails: the next tick tries again. */
  async tick(): Promise<void> {
    this.again = true;
    this.ticking ??= actingAs(SERVICE_ACTOR, () => this.work()).finally(() => {
      this.ticking = undefined;
    });
    await this.ticking;
  }

  /** Begins nothing any more, and resolves when the present tick has ended. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.ticking;
  }

  /** Returns what is done for each vault, as it is written now. */
  async wanted(): Promise<Wanted> {
    const { policies, vaults } = this.parts;
    const written = new Map((await policies.care()).map((care) => [care.vault, care]));
    const inForce = (await policies.list()).filter(isReadable);
    const all = await vaults.list();
    const tasks = all.flatMap((vault) =>
      careTasks(vault, {
        care: written.get(vault.name),
        policies: inForce
          .filter(({ document }) => document.vault === vault.name)
          .map(({ document }) => document),
      }),
    );
    const unreadable = all.filter(({ name }) => {
      const care = written.get(name);
      return care !== undefined && !isReadableCare(care);
    });
    return { tasks, unreadable: new Set(unreadable.map(({ id }) => id)) };
  }

  private async work(): Promise<void> {
    while (this.again && !this.isStopped) {
      this.again = false;
      try {
        if ((await this.parts.clock.problem()) === undefined) {
          await this.look(this.parts.clock.nowMs());
        }
        this.trouble = undefined;
      } catch (error) {
        if (this.trouble === undefined) {
          this.parts.log.warn('care.not-looked', { error });
        }
        this.trouble = 'told';
      }
    }
  }

  private async look(nowMs: number): Promise<void> {
    const { rows, attempts } = this.parts;
    const wanted = await this.wanted();
    const states = await this.keepTasks(wanted, nowMs);
    const byKey = new Map(wanted.tasks.map((task) => [keyOf(task.vaultId, task.name), task]));
    const runs = await rows.unfinished();
    const look = { nowMs, live: await this.live() };
    for (const run of runs.filter(({ state }) => state !== 'due')) {
      await attempts.settle(run, byKey.get(keyOf(run.vaultId, run.task)), look);
    }
    await this.fire(wanted.tasks, states, nowMs);
    const due = (await rows.unfinished()).filter(({ state }) => state === 'due');
    await this.startEach(due, { byKey, unreadable: wanted.unreadable }, look);
    if (nowMs - this.lagAtMs >= LAG_MS || nowMs < this.lagAtMs) {
      this.lagAtMs = nowMs;
      await this.lookAtLags(wanted.tasks, states, nowMs);
    }
  }

  private async startEach(
    due: readonly StoredCareRun[],
    known: { readonly byKey: ReadonlyMap<string, CareTask> } & Pick<Wanted, 'unreadable'>,
    look: CareLook,
  ): Promise<void> {
    const { attempts, age } = this.parts;
    const ready = due.filter(
      ({ fireAtMs, nextTryAtMs }) => fireAtMs <= look.nowMs && nextTryAtMs <= look.nowMs,
    );
    // A database of last week knows points that are gone, and not those that came.
    if (ready.length === 0 || (await age.unknownRuns()) !== undefined) {
      return;
    }
    for (const run of ready) {
      const task = known.byKey.get(keyOf(run.vaultId, run.task));
      if (task !== undefined) {
        await attempts.start(run, task, look);
      } else if (!known.unreadable.has(run.vaultId)) {
        await attempts.drop(run, look.nowMs);
      }
    }
  }

  /** Makes the rows of tasks those that are wanted. A new one begins now. */
  private async keepTasks(
    { tasks, unreadable }: Wanted,
    nowMs: number,
  ): Promise<ReadonlyMap<string, StoredCareTask>> {
    const rows = this.parts.tasks;
    const stored = new Map((await rows.list()).map((row) => [keyOf(row.vaultId, row.task), row]));
    const kept = new Set<string>();
    let changed = false;
    for (const task of tasks) {
      const { vaultId, name } = task;
      const schedule = JSON.stringify(task.schedule);
      const row = stored.get(keyOf(vaultId, name));
      kept.add(keyOf(vaultId, name));
      if (row === undefined) {
        await rows.add({ vaultId, task: name }, schedule, nowMs);
      } else if (row.schedule !== schedule) {
        await rows.reschedule(row, schedule, nowMs);
      }
      changed ||= row?.schedule !== schedule;
    }
    for (const [key, row] of stored) {
      if (!kept.has(key) && !unreadable.has(row.vaultId)) {
        await rows.remove(row);
      }
    }
    return changed
      ? new Map((await rows.list()).map((row) => [keyOf(row.vaultId, row.task), row]))
      : stored;
  }

  private async fire(
    tasks: readonly CareTask[],
    states: ReadonlyMap<string, StoredCareTask>,
    nowMs: number,
  ): Promise<void> {
    const { rows, age } = this.parts;
    let unfinished: StoredCareRun[] | undefined;
    for (const task of tasks) {
      const horizonMs = states.get(keyOf(task.vaultId, task.name))?.horizonMs;
      if (
        horizonMs === undefined ||
        careFiring(task, { horizonMs, nowMs, unfinished: [] }) === undefined
      ) {
        continue;
      }
      if (unfinished === undefined) {
        if ((await age.unknownRuns()) !== undefined) {
          return;
        }
        unfinished = await rows.unfinished();
      }
      const own = unfinished.filter(
        (run) => run.vaultId === task.vaultId && run.task === task.name,
      );
      const firing = careFiring(task, { horizonMs, nowMs, unfinished: own });
      if (firing !== undefined) {
        await rows.fire(firing);
      }
    }
  }

  /** A copy may fall behind although each of its runs ends well, or none begins. */
  private async lookAtLags(
    tasks: readonly CareTask[],
    states: ReadonlyMap<string, StoredCareTask>,
    nowMs: number,
  ): Promise<void> {
    const { attempts } = this.parts;
    for (const { vaultId, vaultName, name, withinMs } of tasks) {
      const state = states.get(keyOf(vaultId, name));
      if (state === undefined || withinMs === undefined) {
        continue;
      }
      const { sinceMs = nowMs } = await this.parts.tasks.lagOf(state);
      const named = { vaultId, vaultName, task: name };
      if (nowMs - sinceMs > withinMs) {
        if (state.trouble === null) {
          await attempts.tellTrouble(named, { text: LATE }, nowMs);
        }
      } else if (state.trouble === LATE) {
        await attempts.tellWell(named);
      }
    }
  }

  private async live(): Promise<string[]> {
    const { hostId, hosts } = this.parts;
    const live = (await hosts()).filter(({ isLate }) => !isLate).map(({ id }) => id);
    return [...new Set([hostId, ...live])];
  }
}

function keyOf(vaultId: string, task: string): string {
  return `${vaultId} ${task}`;
}
