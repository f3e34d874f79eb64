import type { VmPlace } from '../catalog/jobs/job-rows.ts';
import { isAbort, isFault, isIntegrity, type Fault } from '../kernel/fault.ts';
import type { Progress } from '../kernel/progress.ts';
import { FailedWith, type Job, type JobFault, type JobState } from './job.ts';

/** What changes in a job, and in its row. */
export type JobChange = Partial<Omit<Job, 'subject'>>;

/** Why a job was told to stop. */
export type StopReason = 'cancelled' | 'interrupted';

const INTERRUPTED: JobFault = {
  code: 'job.interrupted',
  message: 'The service stopped while this ran. Start it again; nothing is sent twice.',
  context: {},
};

/** Returns the end of a job that the service did not carry out. */
export function interruptedAt(finishedAtMs: number): JobChange {
  return { state: 'interrupted', fault: INTERRUPTED, finishedAtMs };
}

/** Returns the end of a job whose VM is on another host now; its policy tries again there. */
export function movedAt(finishedAtMs: number, { vm, host }: VmPlace): JobChange {
  const message = `The VM ${vm} is on the host ${host} now, and this waited for another one. Nothing was done. Start it again; its policy does so by itself.`;
  const fault: JobFault = { code: 'vm.on-other-host', message, context: { vm, host } };
  return { state: 'interrupted', fault, finishedAtMs };
}

/** Returns the end of a job that nobody can begin. */
export function failedAt(finishedAtMs: number, { code, message, context }: Fault): JobChange {
  return { state: 'failed', fault: { code, message, context }, finishedAtMs };
}

/** Returns the end of a job that was cancelled before anybody began it. */
export function cancelledAt(finishedAtMs: number): JobChange {
  return { state: 'cancelled', fault: CANCELLED, finishedAtMs };
}

const CANCELLED: JobFault = {
  code: 'cancelled',
  message: 'Cancelled before it was done.',
  context: {},
};

/**
 * Returns what a thrown error makes of a job. An integrity fault counts even if the job was being
 * cancelled.
 */
export function outcomeOf(
  error: unknown,
  stop: StopReason | undefined,
): { state: JobState; fault: JobFault; result?: object } {
  if (error instanceof FailedWith) {
    const { code, message, context } = error.fault;
    return { state: 'failed', fault: { code, message, context }, result: error.result };
  }
  if (stop !== undefined && !isIntegrity(error)) {
    return { state: stop, fault: stop === 'cancelled' ? CANCELLED : INTERRUPTED };
  }
  if (isFault(error)) {
    const { code, message, context } = error;
    return { state: 'failed', fault: { code, message, context } };
  }
  const message = isAbort(error)
    ? 'Stopped without being asked to; this is a bug, please report it with the service log.'
    : 'This is a bug of Hyperkeep, please report it with the service log.';
  return { state: 'failed', fault: { code: 'internal', message, context: {} } };
}

/** Returns an end of which the row keeps only this program's own text. */
export function withoutDetails({ state, fault, finishedAtMs }: JobChange): JobChange {
  const message = 'What happened could not be stored; the service log has it.';
  return {
    ...(state !== undefined && { state }),
    ...(finishedAtMs !== undefined && { finishedAtMs }),
    ...(fault !== undefined && { fault: { code: fault.code, message, context: {} } }),
  };
}

/** Returns a report with the present trouble, and without one that is over. */
export function troubled<P extends Progress>(progress: P, trouble: string | undefined): P {
  const told: P & { trouble?: string } = { ...progress };
  delete told.trouble;
  return trouble === undefined ? told : { ...told, trouble };
}
