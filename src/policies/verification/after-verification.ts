import type {
  StoredVerification,
  VerificationChange,
} from '../../catalog/verification/verification-rows.ts';
import type { Job } from '../../jobs/job.ts';
import { FAULTS, type FaultCode } from '../../kernel/fault.ts';

const MINUTE_MS = 60_000;
const BACKOFF_MS = [1, 5, 15, 60, 240].map((minutes) => minutes * MINUTE_MS);
/** The point is not there any more. */
const GONE: readonly string[] = ['vault.point-retired', 'vault.point-not-found'];
/** This host may not read it, but another one may. */
const NOT_HERE: readonly string[] = ['store.denied', 'vault.key-missing', 'secret.unreadable'];

/** How a job ended, or why it could not begin. */
export type VerificationEnd = Pick<Job, 'state' | 'fault' | 'result'>;

/** Whether another host must do it. */
export function isNotHere({ fault }: VerificationEnd): boolean {
  return NOT_HERE.includes(fault?.code ?? '');
}

/** Returns what the end of a job makes of a verification. */
export function afterVerification(
  { attempt }: Pick<StoredVerification, 'attempt'>,
  end: VerificationEnd,
  { nowMs, host }: { readonly nowMs: number; readonly host: string },
): VerificationChange {
  const ended = { endedAtMs: nowMs };
  const again = { state: 'due', jobId: null };
  if (end.state === 'succeeded') {
    return { ...ended, state: 'whole', why: notesOf(end.result), fault: null };
  }
  if (end.state === 'interrupted') {
    return { ...again, attempt: attempt - 1, nextTryAtMs: nowMs };
  }
  if (end.state === 'cancelled') {
    return { ...ended, state: 'skipped', why: 'cancelled' };
  }
  const fault = end.fault ?? { code: 'internal', message: '', context: {} };
  if (fault.code === 'point.damaged') {
    return { ...ended, state: 'damaged', why: null, fault };
  }
  if (GONE.includes(fault.code)) {
    return { ...ended, state: 'skipped', why: 'the point was given up' };
  }
  if (isNotHere(end)) {
    const why = `the host ${host} may not read it`;
    return { ...again, attempt: attempt - 1, nextTryAtMs: nowMs, why, fault };
  }
  const waitMs = isPassing(fault.code) ? BACKOFF_MS[attempt - 1] : undefined;
  return waitMs === undefined
    ? { ...ended, state: 'failed', why: null, fault }
    : { ...again, why: 'tries again', nextTryAtMs: nowMs + waitMs, fault };
}

function isPassing(code: string): boolean {
  if (!Object.hasOwn(FAULTS, code)) {
    return false;
  }
  return FAULTS[code as FaultCode].retry !== 'never';
}

/** A verification that reached its limit says what it left out. */
function notesOf(result: unknown): string | null {
  const { notes = [] } = result as { readonly notes?: readonly string[] };
  return notes.length === 0 ? null : notes.join(' ');
}
