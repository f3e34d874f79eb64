import { setTimeout as pause } from 'node:timers/promises';
import { isFinished, type Job } from '../../api/contract/jobs.ts';
import { Fault, isAbort } from '../../kernel/fault.ts';
import type { Cli } from '../cli.ts';
import { jobResultText } from '../commands/job-text.ts';
import type { ProgressMeter } from '../terminal/progress-meter.ts';
import type { ServiceClient } from './service-client.ts';
import { remoteError } from './service-problem.ts';

/** A service that restarts is away for seconds. */
const ATTEMPTS_MAX = 60;
const ATTEMPT_PAUSE_MS = 250;

/**
 * Follows a job to its end and shows its progress. Ctrl-C stops watching, not the job, and says so.
 *
 * @throws the job's fault if it did not succeed
 */
export async function watchJob(cli: Cli, service: ServiceClient, job: Job): Promise<Job> {
  try {
    using meter = cli.meter();
    const said = new Set<string>();
    const show = (event: Job): void => {
      report(event, meter);
      for (const note of event.progress?.notes ?? []) {
        if (!said.has(note)) {
          cli.say(note);
          said.add(note);
        }
      }
    };
    const ended = await follow(service, job, show, cli.signal);
    if (ended.state === 'succeeded') {
      return ended;
    }
    cli.sayLines(jobResultText(ended, (timeMs) => cli.time(timeMs)));
    throw remoteError(
      ended.fault ?? {
        code: 'cancelled',
        message: `The job ended as ${ended.state}.`,
        context: {},
      },
    );
  } catch (error) {
    if (isAbort(error)) {
      cli.say(
        `No longer watching. The job goes on: hyperkeep jobs show ${job.id}; to end it: hyperkeep jobs cancel ${job.id}`,
      );
    }
    throw error;
  }
}

async function follow(
  service: ServiceClient,
  started: Job,
  show: (job: Job) => void,
  signal: AbortSignal,
): Promise<Job> {
  let job = started;
  for (let failures = 0; !isFinished(job);) {
    try {
      for await (const event of service.jobEvents(job.id, signal)) {
        job = event;
        show(job);
        failures = 0;
      }
      job = await service.call('getJob', { path: { job: job.id } }, signal);
    } catch (error) {
      failures += 1;
      if (!mayComeBack(error, signal) || failures >= ATTEMPTS_MAX) {
        throw error;
      }
    }
    if (!isFinished(job)) {
      await pause(ATTEMPT_PAUSE_MS, undefined, { signal });
    }
  }
  return job;
}

/** A service that does not answer may be restarting; a broken stream is requested again. */
function mayComeBack(error: unknown, signal: AbortSignal): boolean {
  if (signal.aborted || isAbort(error)) {
    return false;
  }
  return !(error instanceof Fault) || error.code === 'service.unreachable';
}

function report(job: Job, meter: ProgressMeter): void {
  const { progress, vmName, vaultName = '' } = job;
  if (progress !== undefined) {
    const { counted, trouble, doneBytes, totalBytes } = progress;
    const phase = `${job.kind} ${vmName ?? vaultName} ${progress.phase}`.replace(/ +/g, ' ').trim();
    meter.report({
      ...{ phase, doneBytes, totalBytes },
      ...(counted === undefined ? {} : { counted }),
      ...(trouble === undefined ? {} : { trouble }),
    });
  }
}
