import type { CareRunChange, StoredCareRun } from '../catalog/care/care-run-rows.ts';
import type { CareTrouble } from '../catalog/care/care-tasks.ts';
import type { Job, JobFault } from '../jobs/job.ts';
import { isHeld, waitOf, type RetryRules } from '../policies/runs/after-attempt.ts';

/** What stopped a run that its next one goes on with. */
export const WINDOW_OVER = 'its window ended';
const BUDGET_OVER = 'its budget was used up';
const BUSY_MS = 60_000;

/** What an ended attempt means. */
export interface CareEnd {
  readonly change: CareRunChange;
  /** Why the task cannot be done; `well` if it was; undefined if nothing is known. */
  readonly says?: CareTrouble | 'well';
}

/** How a job ended, or why it could not begin. */
export type CareAttemptEnd = Pick<Job, 'state' | 'fault'>;

/** Returns what an ended attempt makes of its run. */
export function afterCare(run: StoredCareRun, end: CareAttemptEnd, rules: RetryRules): CareEnd {
  const { nowMs } = rules;
  if (end.state === 'succeeded') {
    return { change: { state: 'done', why: null, fault: null, endedAtMs: nowMs }, says: 'well' };
  }
  const fault = end.fault ?? { code: 'internal', message: '', context: {} };
  if (isHeld({ fault })) {
    const why = 'somebody else does it';
    const again = { state: 'due', attempt: run.attempt - 1, nextTryAtMs: nowMs + BUSY_MS };
    return { change: { ...again, why, fault } };
  }
  const early = earlyEnd(run, end, fault);
  if (early !== undefined) {
    return { change: { state: 'done', why: early, fault: null, endedAtMs: nowMs } };
  }
  const waitMs = end.state === 'interrupted' ? 0 : waitOf(run, fault, rules.backoffMs);
  const nextTryAtMs = nowMs + (waitMs ?? 0);
  const isOver = waitMs === undefined || nextTryAtMs >= rules.untilMs;
  const change = isOver
    ? { state: 'failed', why: waitMs === undefined ? null : 'the next run is due', fault }
    : { state: 'due', why: 'tries again', nextTryAtMs, fault };
  return {
    change: isOver ? { ...change, endedAtMs: nowMs } : change,
    ...(tells(end) && { says: { text: fault.message, code: fault.code } }),
  };
}

/** Whether a copy that ended so is not up to date, so that this is its trouble. */
export function lagTrouble({ change }: CareEnd): CareTrouble | undefined {
  const { state, why = null } = change;
  return state === 'done' && why !== null ? { text: `${why} before it was through` } : undefined;
}

function earlyEnd(
  run: StoredCareRun,
  { state }: CareAttemptEnd,
  { code }: JobFault,
): string | undefined {
  if (code === 'budget.reached') {
    return BUDGET_OVER;
  }
  return state === 'cancelled' && run.why === WINDOW_OVER ? WINDOW_OVER : undefined;
}

/** What a person or a stop of the service ended says nothing about the task. */
function tells({ state }: CareAttemptEnd): boolean {
  return state === 'failed';
}
