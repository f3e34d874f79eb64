import { setTimeout as delay } from 'node:timers/promises';
import type { Job } from '../../../api/contract/jobs.ts';
import type { PolicyRun } from '../../../api/contract/policy/runs.ts';
import { Fault, isFault } from '../../../kernel/fault.ts';
import type { Cli } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { remoteError } from '../../service/service-problem.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { count } from '../../terminal/quantities.ts';
import { attempt, endEach, type Ended } from '../backup-command.ts';
import type { WaitOptions } from '../job-run.ts';

type Run = PolicyRun['runs'][number];

const LOOK_MS = 200;

/** Makes the runs of a policy and follows the first attempt of each. */
export async function runPolicy(cli: Cli, name: string, options: WaitOptions): Promise<Outcome> {
  const call = { path: { policy: name }, body: {} };
  const { runs, open } = await (await cli.service()).call('runPolicy', call, cli.signal);
  if (runs.length + open.length === 0) {
    return {
      document: { backups: [] },
      text: `Policy ${name} protects no VM now; see hyperkeep policy show ${name}\n`,
    };
  }
  for (const run of open) {
    cli.say(plainText(`${run.vmName} is left out: ${openText(cli, run)}`));
  }
  if (!options.wait) {
    const text = `${count(runs.length, 'run')} began. Follow with: hyperkeep runs --policy ${name}\n`;
    return { document: { runs, open }, text };
  }
  const late = await lateHosts(cli);
  const begun: Ended[] = [];
  for (const run of runs) {
    const sinceMs = late.get(run.host ?? '');
    if (sinceMs !== undefined) {
      const text = `${run.vmName} waits for its host ${run.host ?? ''}, which was not seen since ${cli.time(sinceMs)}.`;
      cli.say(plainText(text));
      continue;
    }
    begun.push(await attempt(cli, run.vmName, async () => jobOf(cli, run)));
  }
  return await endEach(cli, begun, options);
}

/** Returns by name when the hosts that are late were last seen: nobody takes their runs now. */
async function lateHosts(cli: Cli): Promise<ReadonlyMap<string, number>> {
  const { hosts } = await (await cli.service()).call('listHosts', {}, cli.signal);
  const late = hosts.filter(({ isLate }) => isLate);
  return new Map(late.map(({ name, lastSeenMs }) => [name, lastSeenMs]));
}

function openText(cli: Cli, { state, fireAtMs, why }: Run): string {
  const what =
    state === 'due' ? `still waits${why === undefined ? '' : ` (${why})`}` : `is ${state}`;
  return `its run of ${cli.time(fireAtMs)} ${what}.`;
}

/** Waits for the job of a run: the service starts only as many as run at once. */
async function jobOf(cli: Cli, { id, policy }: Run): Promise<Job> {
  const service = await cli.service();
  for (;;) {
    const { runs } = await service.call('listRuns', { query: { id } }, cli.signal);
    const [run] = runs;
    const job = run?.jobId === undefined ? undefined : await found(cli, run.jobId);
    if (job !== undefined) {
      return job;
    }
    if (run?.fault !== undefined) {
      throw remoteError({ ...run.fault, context: {} });
    }
    if (run?.state === 'skipped' || run === undefined) {
      throw new Fault('policy.unknown', `There is no policy ${policy} any more.`, { policy });
    }
    await delay(LOOK_MS, undefined, { signal: cli.signal });
  }
}

/** Undefined while it is being started: a run has the id of its job before. */
async function found(cli: Cli, id: string): Promise<Job | undefined> {
  try {
    return await (await cli.service()).call('getJob', { path: { job: id } }, cli.signal);
  } catch (error) {
    if (isFault(error, 'job.unknown')) {
      return undefined;
    }
    throw error;
  }
}
