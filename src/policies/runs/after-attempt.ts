import type { RunChange, StoredRun } from '../../catalog/run-rows.ts';
import type { Job, JobFault } from '../../jobs/job.ts';
import { FAULTS, type FaultCode } from '../../kernel/fault.ts';

const CONFLICT_MS = 60_000;
/** Somebody else uses the VM, for as long as it takes. */
const HELD: readonly string[] = ['job.conflict', 'engine.vm-busy', 'vault.vm-busy'];

/** When a run may be tried again. */
export interface RetryRules {
  readonly nowMs: number;
  /** The next fire time of the VM, which replaces this run. */
  readonly untilMs: number;
  /** Waiting times after the first, second, … failure; the last one repeats. */
  readonly backoffMs: readonly number[];
}

/** How a job ended, or why it could not begin. */
export type AttemptEnd = Pick<Job, 'state' | 'fault' | 'result'>;

/** Returns what an ended attempt makes of its run. */
export function afterAttempt(run: StoredRun, end: AttemptEnd, rules: RetryRules): RunChange {
  if (end.state === 'succeeded') {
    return { state: 'sealed', pointId: pointOf(run, end.result), why: null, fault: null };
  }
  const fault = end.fault ?? { code: 'internal', message: '', context: {} };
  if (isHeld({ fault })) {
    // Nothing was attempted. The next fire time ends the wait, not a count.
    const nextTryAtMs = rules.nowMs + CONFLICT_MS;
    return { state: 'due', why: 'the VM is busy', attempt: run.attempt - 1, nextTryAtMs, fault };
  }
  const waitMs = end.state === 'interrupted' ? 0 : waitOf(run, fault, rules.backoffMs);
  const nextTryAtMs = rules.nowMs + (waitMs ?? 0);
  if (waitMs === undefined || nextTryAtMs >= rules.untilMs) {
    return { state: 'failed', why: waitMs === undefined ? null : 'the next run is due', fault };
  }
  return { state: 'due', why: 'tries again', nextTryAtMs, fault };
}

interface DoneBackup {
  readonly vmId: string;
  readonly pointId: string;
}

/** Returns the point that a backup took of the run's VM, alone or in a group. */
function pointOf({ vmId }: StoredRun, result: unknown): string {
  const done = result as DoneBackup | { readonly backups: readonly DoneBackup[] };
  const backup = 'backups' in done ? done.backups.find((each) => each.vmId === vmId) : done;
  return backup?.pointId ?? '';
}

/** True for the fault of a run that waits until somebody else lets go of its VM. */
export function isHeld({ fault }: { readonly fault: unknown }): boolean {
  return HELD.includes((fault as JobFault | null)?.code ?? '');
}

/** Returns how long to wait before the next attempt; undefined: there is none. */
export function waitOf(
  run: Pick<StoredRun, 'attempt' | 'fault'>,
  { code }: Pick<JobFault, 'code'>,
  backoffMs: readonly number[],
): number | undefined {
  // Not in the table: cancelled, a bug, or a fault of another version.
  const { kind, retry } = isCode(code) ? FAULTS[code] : { kind: 'invalid', retry: 'never' };
  if (retry === 'never') {
    return undefined;
  }
  switch (kind) {
    case 'unavailable':
    case 'exhausted':
    case 'integrity':
      return backoffMs[Math.min(run.attempt, backoffMs.length) - 1];
    case 'conflict':
      return hadConflict(run) ? undefined : CONFLICT_MS;
    default:
      return undefined;
  }
}

function hadConflict({ fault }: Pick<StoredRun, 'fault'>): boolean {
  const code = (fault as JobFault | null)?.code;
  return code !== undefined && isCode(code) && FAULTS[code].kind === 'conflict';
}

function isCode(code: string): code is FaultCode {
  return Object.hasOwn(FAULTS, code);
}
