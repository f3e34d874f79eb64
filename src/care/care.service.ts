import type { CareRunFilter, CareRunRows, StoredCareRun } from '../catalog/care/care-run-rows.ts';
import type { CareTasks, CopyLag, StoredCareTask } from '../catalog/care/care-tasks.ts';
import { currentActor } from '../kernel/actor.ts';
import { Fault } from '../kernel/fault.ts';
import type { SchedulingClock } from '../policies/runs/scheduling-clock.ts';
import { jitterMs, nextFireTime } from '../policies/schedule/fire-times.ts';
import { careRun } from './care-firing.ts';
import type { CareScheduler } from './care-scheduler.ts';
import type { CareTask } from './care-task.ts';

/** A copy, and how far it is behind. */
export interface CopyState extends CopyLag {
  readonly location: string;
  readonly withinMs?: number | undefined;
  /** When the last run ended that brought it up to date. */
  readonly followedAtMs?: number | undefined;
  /** Whether it lacks a point that is older than it may be. */
  readonly isLate: boolean;
}

/** One task with what became of it. */
export interface TaskState {
  readonly task: CareTask;
  readonly nextFireAtMs?: number | undefined;
  readonly last?: StoredCareRun | undefined;
  readonly trouble?:
    | { readonly text: string; readonly code?: string | undefined; readonly sinceMs: number }
    | undefined;
  readonly copy?: CopyState | undefined;
}

export interface CareParts {
  readonly scheduler: Pick<CareScheduler, 'wanted' | 'tick'>;
  readonly rows: Pick<CareRunRows, 'list' | 'last' | 'add' | 'unfinished'>;
  readonly tasks: Pick<CareTasks, 'list' | 'lagOf'>;
  readonly clock: Pick<SchedulingClock, 'nowMs'>;
}

/** What is done for vaults by itself, and what became of it. */
export class Care {
  constructor(private readonly parts: CareParts) {}

  /** Returns every task by vault. */
  async list(vaultId?: string): Promise<{ readonly atMs: number; readonly tasks: TaskState[] }> {
    const { scheduler, rows, tasks: states, clock } = this.parts;
    const nowMs = clock.nowMs();
    const stored = new Map((await states.list()).map((row) => [keyOf(row), row]));
    const runs = new Map((await rows.last()).map((run) => [keyOf(run), run]));
    const tasks: TaskState[] = [];
    for (const task of (await scheduler.wanted()).tasks) {
      if (vaultId === undefined || task.vaultId === vaultId) {
        const key = keyOf({ vaultId: task.vaultId, task: task.name });
        const state = stored.get(key);
        tasks.push({
          task,
          nextFireAtMs: nextFire(task, state?.horizonMs ?? nowMs),
          last: runs.get(key),
          trouble: troubleOf(state),
          copy: await this.copyOf(task, state, nowMs),
        });
      }
    }
    return { atMs: nowMs, tasks };
  }

  /** Lists runs, newest first. */
  async runs(filter: CareRunFilter): Promise<StoredCareRun[]> {
    return this.parts.rows.list(filter);
  }

  /**
   * Does a task now, whatever its schedule says.
   * @returns the run; one that has not ended, if there is one: `isOpen`
   * @throws Fault `care.unknown`
   */
  async run(
    vault: { readonly id: string; readonly name: string },
    name: string,
  ): Promise<{ readonly run: StoredCareRun; readonly isOpen: boolean }> {
    const { scheduler, rows, clock } = this.parts;
    const own = (await scheduler.wanted()).tasks.filter(({ vaultId }) => vaultId === vault.id);
    const task = own.find((each) => each.name === name);
    if (task === undefined) {
      const names = own.map((each) => each.name).join(', ') || 'none';
      throw new Fault(
        'care.unknown',
        `The care of the vault ${vault.name} has no task ${name} (${names}).`,
        { vault: vault.name, task: name },
      );
    }
    const open = (await rows.unfinished()).find(
      (run) => run.vaultId === vault.id && run.task === name,
    );
    if (open !== undefined) {
      return { run: open, isOpen: true };
    }
    const run = { ...careRun(task, clock.nowMs()), actor: currentActor() };
    await rows.add(run);
    void scheduler.tick();
    return { run, isOpen: false };
  }

  private async copyOf(
    { copy, withinMs }: CareTask,
    state: StoredCareTask | undefined,
    nowMs: number,
  ): Promise<CopyState | undefined> {
    if (copy === undefined || state === undefined) {
      return undefined;
    }
    const lag = await this.parts.tasks.lagOf(state);
    return {
      ...lag,
      location: copy.location,
      withinMs,
      followedAtMs: state.followedAtMs ?? undefined,
      isLate: withinMs !== undefined && nowMs - (lag.sinceMs ?? nowMs) > withinMs,
    };
  }
}

function nextFire({ schedule, vaultId, name }: CareTask, horizonMs: number): number | undefined {
  const fireAtMs = nextFireTime(schedule, horizonMs);
  return fireAtMs === undefined
    ? undefined
    : fireAtMs + jitterMs(schedule, { policyId: vaultId, vmId: name, fireAtMs });
}

function troubleOf(state: StoredCareTask | undefined): TaskState['trouble'] {
  if (state === undefined || state.trouble === null) {
    return undefined;
  }
  const { trouble: text, troubleCode, troubleSinceMs } = state;
  return { text, code: troubleCode ?? undefined, sinceMs: troubleSinceMs ?? 0 };
}

function keyOf({ vaultId, task }: { readonly vaultId: string; readonly task: string }): string {
  return `${vaultId} ${task}`;
}
