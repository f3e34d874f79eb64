import type { Command } from 'commander';
import type { CompressionLevel, Job } from '../../api/contract/jobs.ts';
import { Fault, isAbort } from '../../kernel/fault.ts';
import type { GuestLatencyLimit } from '../../kernel/rates/guest-latency.ts';
import type { Cli } from '../cli.ts';
import { compressionOption } from '../options/compression-option.ts';
import { guestLatencyOption } from '../options/guest-latency-option.ts';
import { RATE_OPTION, rateLimitsOf, type RateOptions } from '../options/rate-option.ts';
import { reportOf } from '../faults/explain-error.ts';
import { EXIT_INTERRUPTED, reportText, type FaultReport } from '../faults/fault-report.ts';
import { watchJob } from '../service/job-watch.ts';
import { FailedInPart, type Outcome } from '../outcome.ts';
import { plainText } from '../terminal/plain-text.ts';
import { count } from '../terminal/quantities.ts';
import { runJob, startJob, withWait, type JobCall, type WaitOptions } from './job-run.ts';
import { jobResultText } from './job-text.ts';

interface BackupOptions extends WaitOptions, RateOptions {
  readonly vault?: string;
  readonly all?: boolean;
  readonly crashConsistent?: boolean;
  readonly full?: boolean;
  readonly compression?: CompressionLevel;
  readonly guestLatency?: GuestLatencyLimit;
}

export function addBackup(program: Command, cli: Cli): void {
  withWait(
    program
      .command('backup')
      .description('take a recovery point of a VM, or of several, one job each')
      .argument('[vms...]', 'names, ids or their beginnings')
      .option('--all', 'every VM that this service knows')
      .option('--vault <name>', 'needed when there are several')
      .option('--crash-consistent', 'do not ask the guest to flush its file systems')
      .option('--full', 'read every disk whole, whatever the change tracking says')
      .addOption(compressionOption())
      .option(...RATE_OPTION)
      .addOption(guestLatencyOption()),
  ).action(async (vms: string[], options: BackupOptions) => {
    await cli.answer(options, backUp(cli, vms, options));
  });
}

async function backUp(
  cli: Cli,
  asked: readonly string[],
  options: BackupOptions,
): Promise<Outcome> {
  const vms = await meantVms(cli, asked, options.all === true);
  const [only, ...others] = vms;
  return only !== undefined && others.length === 0 && options.all !== true
    ? await runJob(cli, callFor(only, options), options)
    : await backUpEach(cli, vms, options);
}

async function meantVms(cli: Cli, asked: readonly string[], all: boolean): Promise<string[]> {
  if (all === asked.length > 0) {
    throw new Fault(
      'request.invalid',
      all ? 'Name VMs or say --all, not both.' : 'Say which VM to back up, or --all.',
    );
  }
  if (!all) {
    return [...new Set(asked)];
  }
  const { vms } = await (await cli.service()).call('listVms', {}, cli.signal);
  const own = vms.filter(({ host }) => host?.isThis !== false);
  if (own.length === 0) {
    throw new Fault(
      'engine.vm-not-found',
      'There is no VM to back up. Add one with: hyperkeep vm add FILE',
    );
  }
  return own.map(({ name }) => name);
}

function callFor(vm: string, options: BackupOptions): JobCall {
  const { vault, crashConsistent, full, compression, guestLatency } = options;
  return {
    route: 'startBackup',
    body: {
      vm,
      ...(vault === undefined ? {} : { vault }),
      crashConsistent: crashConsistent === true,
      full: full === true,
      ...(compression && { compressionLevel: compression }),
      ...rateLimitsOf(options),
      ...(guestLatency && { guestLatency }),
    },
  };
}

/** How the backup of one VM began or ended. */
export interface Ended {
  readonly vm: string;
  readonly job?: Job;
  readonly error?: FaultReport;
}

/**
 * Starts all jobs at once, so that the service runs as many as it may, and follows them one after
 * the other. A failing job does not stop the others.
 *
 * @throws FailedInPart with the exit code of the worst
 */
async function backUpEach(
  cli: Cli,
  vms: readonly string[],
  options: BackupOptions,
): Promise<Outcome> {
  const started: Ended[] = [];
  for (const vm of vms) {
    started.push(await attempt(cli, vm, () => startJob(cli, callFor(vm, options))));
  }
  return await endEach(cli, started, options);
}

/**
 * Follows backups that were started, one after the other.
 *
 * @throws FailedInPart with the exit code of the worst
 */
export async function endEach(
  cli: Cli,
  started: readonly Ended[],
  options: Pick<WaitOptions, 'wait'>,
): Promise<Outcome> {
  const ended: Ended[] = [];
  for (const one of started) {
    ended.push(options.wait ? await follow(cli, one) : one);
  }
  const text = ended.map((one) => endText(cli, one)).join('');
  const failures = ended.flatMap(({ error }) => (error === undefined ? [] : [error]));
  const [first, ...more] = failures;
  if (first === undefined) {
    return { document: { backups: ended }, text };
  }
  cli.sayLines(text);
  const worst = more.reduce((a, b) => (gravity(b) > gravity(a) ? b : a), first);
  const message = `${String(failures.length)} of ${count(ended.length, 'backup')} failed; the worst is ${worst.code}.`;
  throw new FailedInPart({ ...worst, message }, { backups: ended });
}

async function follow(cli: Cli, { vm, job, error }: Ended): Promise<Ended> {
  if (job === undefined) {
    return { vm, ...(error && { error }) };
  }
  const service = await cli.service();
  const end = await attempt(cli, vm, () => watchJob(cli, service, job));
  if (end.job !== undefined) {
    return end;
  }
  const last = service.call('getJob', { path: { job: job.id } }, cli.signal);
  return { ...end, job: await last.catch(() => job) };
}

/** Reports a failure at once. Ctrl-C ends everything. */
export async function attempt(cli: Cli, vm: string, work: () => Promise<Job>): Promise<Ended> {
  try {
    return { vm, job: await work() };
  } catch (error) {
    if (isAbort(error)) {
      throw error;
    }
    const report = reportOf(error);
    cli.sayLines(`${plainText(vm)}: ${reportText(report)}`);
    return { vm, error: report };
  }
}

/** Ranks failures by exit code. A job that somebody ended ranks lowest. */
function gravity({ exitCode }: FaultReport): number {
  return exitCode === EXIT_INTERRUPTED ? 0 : exitCode;
}

function endText(cli: Cli, { job, error }: Ended): string {
  if (job === undefined || error !== undefined) {
    return '';
  }
  return job.result === undefined
    ? `Job ${job.id} of ${plainText(job.vmName ?? '')} is ${job.state}. Follow it with: hyperkeep jobs show ${job.id} --wait\n`
    : jobResultText(job, (timeMs) => cli.time(timeMs));
}
