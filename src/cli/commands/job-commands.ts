import type { Command } from 'commander';
import type { Job } from '../../api/contract/jobs.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { watchJob } from '../service/job-watch.ts';
import type { Outcome } from '../outcome.ts';
import { plainText } from '../terminal/plain-text.ts';
import { formatDuration } from '../terminal/quantities.ts';
import { formatTable } from '../terminal/table.ts';
import { jobResultText } from './job-text.ts';

interface ListOptions extends CommonOptions {
  readonly state?: string;
  readonly kind?: string;
  readonly limit?: string;
}

export function addJobCommands(program: Command, cli: Cli): void {
  const jobs = program.command('jobs').description('what the service does and did');
  jobs
    .command('list', { isDefault: true })
    .description('the newest jobs')
    .option('--state <state>', 'queued, running, succeeded, failed, cancelled or interrupted')
    .option('--kind <kind>', 'backup, restore, verify, prune, scrub, copy, …')
    .option('--limit <count>', 'default 50')
    .action(async (options: ListOptions) => {
      await cli.answer(options, listJobs(cli, options));
    });
  jobs
    .command('show')
    .description('one job')
    .argument('<id>')
    .option('--wait', 'until it has ended')
    .action(async (id: string, options: CommonOptions & { wait?: boolean }) => {
      await cli.answer(options, showJob(cli, id, options.wait === true));
    });
  jobs
    .command('cancel')
    .description('end a job; what it has stored is used by the next one')
    .argument('<id>')
    .action(async (id: string, options: CommonOptions) => {
      await cli.answer(options, cancelJob(cli, id));
    });
}

async function listJobs(cli: Cli, { state, kind, limit }: ListOptions): Promise<Outcome> {
  const query = { state, kind, limit };
  const answer = await (await cli.service()).call('listJobs', { query }, cli.signal);
  // Of a service that is alone it would say nothing.
  const isShared = new Set(answer.jobs.flatMap(({ host }) => host ?? [])).size > 1;
  const host = (name = ''): string[] => (isShared ? [name] : []);
  const titles = [
    'ID',
    'KIND',
    'VM OR VAULT',
    ...host('HOST'),
    'STATE',
    'CREATED',
    'TOOK',
    'FAULT',
  ];
  const columns = titles.map((title) => ({ title }));
  const row = (job: Job): string[] => [
    job.id,
    kindOf(job),
    job.vmName ?? job.vmId ?? job.vaultName ?? '',
    ...host(job.host),
    stateOf(job),
    cli.time(job.createdAtMs),
    tookOf(job),
    job.fault?.code ?? '',
  ];
  return {
    document: answer,
    text: answer.jobs.length === 0 ? 'No jobs.\n' : formatTable(columns, answer.jobs.map(row)),
  };
}

/** Distinguishes a dry run from a run. */
function kindOf({ kind, result }: Job): string {
  const isPlan =
    (result?.kind === 'repair' && result.dryRun) ||
    ((result?.kind === 'prune' || result?.kind === 'copy') && result.report === undefined);
  return isPlan ? `${kind} (plan)` : kind;
}

function stateOf({ state, progress }: Job): string {
  if (state !== 'running' || progress === undefined || progress.totalBytes === 0) {
    return state;
  }
  return `${state} ${String(Math.floor((100 * progress.doneBytes) / progress.totalBytes))} %`;
}

function tookOf({ startedAtMs, finishedAtMs }: Job): string {
  return startedAtMs === undefined || finishedAtMs === undefined
    ? ''
    : formatDuration(finishedAtMs - startedAtMs);
}

async function showJob(cli: Cli, id: string, wait: boolean): Promise<Outcome> {
  const service = await cli.service();
  const found = await service.call('getJob', { path: { job: id } }, cli.signal);
  const job = wait ? await watchJob(cli, service, found) : found;
  return { document: job, text: jobText(cli, job) };
}

function jobText(cli: Cli, job: Job): string {
  const lines = [
    `${job.kind} ${job.vmName ?? job.vaultName ?? ''} ${stateOf(job)} (${job.id})`.replace(
      / +/g,
      ' ',
    ),
  ];
  const by = job.actor === undefined ? '' : ` by ${job.actor}`;
  lines.push(`  created ${cli.time(job.createdAtMs)}${by}`);
  if (job.host !== undefined) {
    lines.push(`  host ${plainText(job.host)}`);
  }
  if (job.finishedAtMs !== undefined) {
    lines.push(`  ended ${cli.time(job.finishedAtMs)}`);
  }
  if (job.fault !== undefined) {
    lines.push(`  ${plainText(job.fault.code)}: ${plainText(job.fault.message)}`);
  }
  return `${lines.join('\n')}\n${jobResultText(job, (timeMs) => cli.time(timeMs))}`;
}

async function cancelJob(cli: Cli, id: string): Promise<Outcome> {
  const job = await (await cli.service()).call('cancelJob', { path: { job: id } }, cli.signal);
  return { document: job, text: `Job ${job.id} is ${job.state}.\n` };
}
