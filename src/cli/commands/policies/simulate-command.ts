import type { Command } from 'commander';
import type { Cli, CommonOptions } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { simulationText } from './simulation-text.ts';

/** Adds `policy simulate`. */
export function addSimulateCommand(policy: Command, cli: Cli): void {
  policy
    .command('simulate')
    .description('what will be there in a year, and what it takes')
    .argument('[policy]', 'only this one')
    .action(async (name: string | undefined, options: CommonOptions) => {
      await cli.answer(options, simulate(cli, name));
    });
}

async function simulate(cli: Cli, name: string | undefined): Promise<Outcome> {
  const call = { query: { policy: name } };
  const simulation = await (await cli.service()).call('simulatePolicies', call, cli.signal);
  return { document: simulation, text: simulationText(simulation) };
}
