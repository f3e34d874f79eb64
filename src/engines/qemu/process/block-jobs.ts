import { setTimeout as delay } from 'node:timers/promises';
import { Fault } from '../../../kernel/fault.ts';
import { plainWords } from '../../../kernel/text/plain-text.ts';
import type { QmpClient } from '../qmp/qmp-client.ts';
import type { QmpJob } from '../qmp/qmp-results.ts';

/** Job events wake the waiter; this interval only covers missed events. */
const LOOK_MS = 500;
/** How much of QEMU's text a message can carry. */
const ERROR_CHARACTERS_MAX = 500;

/** Returns the job if QEMU has it. A job that we started stays until it is dismissed. */
export async function findJob(
  qmp: QmpClient,
  id: string,
  signal: AbortSignal,
): Promise<QmpJob | undefined> {
  return (await qmp.execute('query-jobs', {}, signal)).find((job) => job.id === id);
}

/**
 * Waits until the job has one of `states`. Asks QEMU after every event: events may have been
 * missed, and only the state counts.
 *
 * @returns undefined if the job does not exist (any more)
 */
export async function waitForJob(
  qmp: QmpClient,
  id: string,
  states: readonly string[],
  signal: AbortSignal,
): Promise<QmpJob | undefined> {
  let changed = signalOnce();
  const stop = qmp.onEvent(({ event, data }) => {
    if (event === 'JOB_STATUS_CHANGE' && data['id'] === id) {
      changed.resolve();
    }
  });
  try {
    for (;;) {
      changed = signalOnce();
      const job = await findJob(qmp, id, signal);
      if (job === undefined || states.includes(job.status)) {
        return job;
      }
      const look = new AbortController();
      const timer = delay(LOOK_MS, undefined, { signal: AbortSignal.any([signal, look.signal]) });
      await Promise.race([changed.promise, timer.catch(() => undefined)]);
      look.abort();
      signal.throwIfAborted();
    }
  } finally {
    stop();
  }
}

/**
 * Waits for the end of a job and removes it from QEMU's list.
 *
 * @throws Fault `engine.merge-failed` if the job ended with an error
 */
export async function concludeJob(qmp: QmpClient, id: string, signal: AbortSignal): Promise<void> {
  const job = await waitForJob(qmp, id, ['concluded'], signal);
  if (job === undefined) {
    return;
  }
  await qmp.execute('job-dismiss', { id }, signal);
  if (job.error !== undefined) {
    const said = plainWords(job.error, ERROR_CHARACTERS_MAX);
    throw new Fault('engine.merge-failed', `QEMU could not merge a layer: ${said}`, {
      jobId: id,
    });
  }
}

/** Cancels a job and removes it from the list. */
export async function cancelJob(qmp: QmpClient, id: string, signal: AbortSignal): Promise<void> {
  const job = await findJob(qmp, id, signal);
  if (job === undefined) {
    return;
  }
  if (job.status !== 'concluded') {
    await qmp.execute('job-cancel', { id }, signal);
    await waitForJob(qmp, id, ['concluded'], signal);
  }
  await qmp.execute('job-dismiss', { id }, signal);
}

interface Signal {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

function signalOnce(): Signal {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
