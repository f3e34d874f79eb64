import type { Command } from 'commander';
import type { Cli, CommonOptions } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { count } from '../../terminal/quantities.ts';

/** Adds `catalog`. */
export function addCatalogCommands(program: Command, cli: Cli): void {
  program
    .command('catalog')
    .description('the database of the service')
    .command('accept')
    .description('let schedules go on, from now, with a database older than the vaults')
    .action(async (options: CommonOptions) => {
      await cli.answer(options, accept(cli));
    });
}

async function accept(cli: Cli): Promise<Outcome> {
  const accepted = await (await cli.service()).call('acceptCatalog', { body: {} }, cli.signal);
  const { points, policies, skippedRuns } = accepted;
  const text =
    points === 0
      ? 'The database knows all runs whose points are in the vaults. Nothing was changed.\n'
      : `Accepted: ${count(points, 'point')} of runs that the database did not know. ${count(policies, 'policy', 'policies')} fire from now on; ${count(skippedRuns, 'due run')} skipped.\n`;
  return { document: accepted, text };
}
