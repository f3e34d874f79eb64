import type { Command } from 'commander';
import type { Job } from '../../api/contract/jobs.ts';
import type { ROUTES } from '../../api/contract/routes.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { watchJob } from '../service/job-watch.ts';
import type { Outcome } from '../outcome.ts';
import { jobResultText } from './job-text.ts';

export interface WaitOptions extends CommonOptions {
  /** False with `--no-wait`. */
  readonly wait: boolean;
}

/** Routes that answer with a job. */
export type JobRoute = {
  [Name in keyof typeof ROUTES]: (typeof ROUTES)[Name] extends {
    readonly method: 'POST';
    readonly body: unknown;
    readonly answer: typeof Job;
  }
    ? Name
    : never;
}[keyof typeof ROUTES];

export interface JobCall {
  readonly route: JobRoute;
  readonly vault?: string;
  readonly body: object;
}

export function withWait(command: Command): Command {
  return command
    .option('--wait', 'until it is done, showing progress (default)', true)
    .option('--no-wait', 'only start it and print the job');
}

/** Starts a job and, unless told otherwise, follows it to its end. */
export async function runJob(
  cli: Cli,
  call: JobCall,
  { wait }: Pick<WaitOptions, 'wait'>,
): Promise<Outcome> {
  if (!wait) {
    const started = await startJob(cli, call);
    return {
      document: started,
      text: `Job ${started.id} is ${started.state}. Follow it with: hyperkeep jobs show ${started.id} --wait\n`,
    };
  }
  const job = await endedJob(cli, call);
  return { document: job, text: jobResultText(job, (timeMs) => cli.time(timeMs)) };
}

/** Returns the job once it has succeeded. @throws its fault if it did not */
export async function endedJob(cli: Cli, call: JobCall): Promise<Job> {
  const started = await startJob(cli, call);
  return await watchJob(cli, await cli.service(), started);
}

/** Starts a job without waiting for it. */
export async function startJob(cli: Cli, { route, vault, body }: JobCall): Promise<Job> {
  const service = await cli.service();
  const path = vault === undefined ? {} : { path: { vault } };
  return await service.call(route, { ...path, body }, cli.signal);
}
