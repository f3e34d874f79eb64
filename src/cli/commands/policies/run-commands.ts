import type { Command } from 'commander';
import type { Run } from '../../../api/contract/policy/runs.ts';
import type { Cli, CommonOptions } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { formatTable } from '../../terminal/table.ts';

interface RunOptions extends CommonOptions {
  readonly policy?: string;
  readonly vm?: string;
  readonly limit?: string;
}

/** Adds `runs`. */
export function addRunCommands(program: Command, cli: Cli): void {
  program
    .command('runs')
    .description('what policies did by themselves, or will do soon')
    .option('--policy <policy>', 'only of this one')
    .option('--vm <vm>', 'only of this VM: its name or id')
    .option('--limit <count>', 'default 50')
    .action(async (options: RunOptions) => {
      await cli.answer(options, listRuns(cli, options));
    });
}

async function listRuns(cli: Cli, { policy, vm, limit }: RunOptions): Promise<Outcome> {
  const query = { policy, vm, limit };
  const answer = await (await cli.service()).call('listRuns', { query }, cli.signal);
  const isShared = new Set(answer.runs.flatMap(({ host }) => host ?? [])).size > 1;
  const host = (name = ''): string[] => (isShared ? [name] : []);
  const titles = ['DUE', 'POLICY', 'VM', ...host('HOST'), 'STATE', 'ATTEMPTS', 'POINT', 'WHY'];
  const columns = titles.map((title) => ({ title }));
  const row = (run: Run): string[] => [
    cli.time(run.fireAtMs),
    run.policy,
    run.vmName,
    ...host(run.host),
    run.state,
    run.attempt === 0 ? '' : String(run.attempt),
    run.pointId ?? '',
    whyOf(run, cli),
  ];
  return {
    document: answer,
    text: answer.runs.length === 0 ? 'No runs yet.\n' : formatTable(columns, answer.runs.map(row)),
  };
}

function whyOf(run: Run, cli: Cli): string {
  const { state, why, fault, nextTryAtMs, attempt, verification } = run;
  const damaged = verification?.state === 'damaged' ? 'its point is DAMAGED' : undefined;
  const next =
    state === 'due' && attempt > 0 && nextTryAtMs !== undefined ? cli.time(nextTryAtMs) : undefined;
  return [damaged, fault?.code, why, next].filter((part) => part !== undefined).join(', ');
}
