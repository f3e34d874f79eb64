import type { Command } from 'commander';
import type { Cli, CommonOptions } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { careHistoryText, careRunsText, careText } from './care-text.ts';

interface RunsOptions extends CommonOptions {
  readonly vault?: string;
  readonly task?: string;
  readonly limit?: string;
}

/** Adds `care`. */
export function addCareCommands(program: Command, cli: Cli): void {
  const care = program
    .command('care')
    .description('what is done for vaults by itself: prune, scrub, copies, locks');
  care
    .command('list')
    .description('every task of every vault: when it is due, what became of it, what is wrong')
    .argument('[vault]', 'only of this one')
    .action(async (vault: string | undefined, options: CommonOptions) => {
      await cli.answer(options, list(cli, vault));
    });
  care
    .command('runs')
    .description('what was done for vaults by itself, or will be soon')
    .option('--vault <vault>', 'only for this one')
    .option('--task <task>', 'only this: prune, scrub, keep, "copy NAME"')
    .option('--limit <count>', 'default 50')
    .action(async (options: RunsOptions) => {
      await cli.answer(options, runs(cli, options));
    });
  care
    .command('run')
    .description('do a task now')
    .argument('<vault>', 'its name')
    .argument('<task>', 'prune, scrub, keep, "copy NAME"')
    .action(async (vault: string, task: string, options: CommonOptions) => {
      await cli.answer(options, run(cli, vault, task));
    });
  care
    .command('history')
    .description('who changed what of the care of a vault and when')
    .argument('<vault>', 'its name')
    .action(async (vault: string, options: CommonOptions) => {
      await cli.answer(options, history(cli, vault));
    });
}

async function list(cli: Cli, vault: string | undefined): Promise<Outcome> {
  const answer = await (await cli.service()).call('listCare', { query: { vault } }, cli.signal);
  return { document: answer, text: careText(answer, (timeMs) => cli.time(timeMs)) };
}

async function runs(cli: Cli, { vault, task, limit }: RunsOptions): Promise<Outcome> {
  const query = { vault, task, limit };
  const answer = await (await cli.service()).call('listCareRuns', { query }, cli.signal);
  return { document: answer, text: careRunsText(answer.runs, (timeMs) => cli.time(timeMs)) };
}

async function run(cli: Cli, vault: string, task: string): Promise<Outcome> {
  const call = { path: { vault }, body: { task } };
  const started = await (await cli.service()).call('runCare', call, cli.signal);
  const { run: it, isOpen } = started;
  const text = isOpen
    ? `The ${task} of ${it.vaultName} that was due ${cli.time(it.fireAtMs)} has not ended; there is no other one.`
    : `The ${task} of ${it.vaultName} begins.`;
  return { document: started, text: `${plainText(text)} See: hyperkeep care runs\n` };
}

async function history(cli: Cli, vault: string): Promise<Outcome> {
  const call = { path: { vault } };
  const answer = await (await cli.service()).call('careHistory', call, cli.signal);
  return { document: answer, text: careHistoryText(answer, (timeMs) => cli.time(timeMs)) };
}
