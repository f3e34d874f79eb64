import { randomUUID } from 'node:crypto';
import type { CareFiring, CareRunChange, StoredCareRun } from '../catalog/care/care-run-rows.ts';
import { dueTimes, earliestStart, type DueTimes } from '../policies/schedule/due-times.ts';
import { jitterMs } from '../policies/schedule/fire-times.ts';
import { isHeld } from '../policies/runs/after-attempt.ts';
import type { CareTask } from './care-task.ts';

export interface CareFiringFacts {
  readonly horizonMs: number;
  readonly nowMs: number;
  /** Runs of this task that have not ended. */
  readonly unfinished: readonly StoredCareRun[];
}

/**
 * Returns the rows of the fire times of a task that are due; undefined if there is nothing to
 * write down. A run that has begun, or waits for room or for a key, goes on, and the new one is
 * skipped. One that waits for another attempt ends: the new one is that attempt.
 */
export function careFiring(task: CareTask, facts: CareFiringFacts): CareFiring | undefined {
  const { horizonMs, nowMs, unfinished } = facts;
  const due = dueTimes(task.schedule, horizonMs, nowMs);
  if (!isDue(due)) {
    return undefined;
  }
  const runs = due.missed.map((fireAtMs): StoredCareRun => {
    return { ...careRun(task, fireAtMs), state: 'skipped', why: 'missed', endedAtMs: nowMs };
  });
  const going = unfinished.find((run) => !waitsForRetry(run));
  const ended = due.run !== undefined && going === undefined ? unfinished : [];
  if (due.run !== undefined) {
    const run = careRun(task, due.run);
    runs.push(
      going === undefined
        ? { ...run, nextTryAtMs: startOf(task, due.run, nowMs) }
        : { ...run, state: 'skipped', why: whyOf(going), endedAtMs: nowMs },
    );
  }
  const { vaultId, name } = task;
  return {
    ...{ vaultId, task: name, fromMs: horizonMs, horizonMs: due.horizonMs, runs },
    ended: ended.map((run) => ({ run, change: endOf(run, nowMs) })),
  };
}

/** Returns a run that may start at its fire time. */
export function careRun(task: CareTask, fireAtMs: number): StoredCareRun {
  const { vaultId, vaultName, name, revision } = task;
  return {
    id: randomUUID(),
    ...{ vaultId, vaultName, task: name, revision, fireAtMs },
    ...{ state: 'due', why: null, attempt: 0, nextTryAtMs: fireAtMs, hostId: null, declined: [] },
    ...{ jobId: null, change: null, fault: null, endedAtMs: null, actor: null },
  };
}

function isDue({ run, missed }: DueTimes): boolean {
  return run !== undefined || missed.length > 0;
}

function waitsForRetry(run: StoredCareRun): boolean {
  return run.state === 'due' && (run.attempt > 0 || isHeld(run));
}

function endOf(run: StoredCareRun, nowMs: number): CareRunChange {
  return isHeld(run)
    ? { state: 'skipped', why: 'superseded', endedAtMs: nowMs }
    : { state: 'failed', why: 'the next run is due', endedAtMs: nowMs };
}

function whyOf({ state }: StoredCareRun): string {
  return state === 'due' ? 'still waiting' : 'still running';
}

function startOf({ schedule, vaultId, name }: CareTask, fireAtMs: number, nowMs: number): number {
  const spread = jitterMs(schedule, { policyId: vaultId, vmId: name, fireAtMs });
  return Math.max(fireAtMs + spread, earliestStart(schedule, nowMs));
}
