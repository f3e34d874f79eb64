import type { Command } from 'commander';
import type { Cli, CommonOptions } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { adoptedText, retirementText } from './retire-text.ts';

type RetireOptions = CommonOptions & {
  readonly yes?: boolean;
  readonly thesePointsAreGone?: readonly string[];
};
type AdoptOptions = CommonOptions & { readonly yes?: boolean };

/** Adds `policy retire` and `policy adopt`. */
export function addRetireCommands(policy: Command, cli: Cli): void {
  policy
    .command('retire')
    .description('what a policy gives up now, and why')
    .argument('<policy>', 'its name')
    .option('--yes', 'give it up, also what its newest revision gives up at once')
    .option('--these-points-are-gone <ids...>', 'whole ids of points that are lost for good')
    .action(async (name: string, options: RetireOptions) => {
      await cli.answer(options, retire(cli, name, options));
    });
  policy
    .command('adopt')
    .description('let a policy decide about points that were taken by hand or have no policy')
    .argument('<policy>', 'its name')
    .argument('<points...>', 'their ids, or the beginnings of them')
    .option('--yes', 'do it; without it, only say which points')
    .action(async (name: string, points: readonly string[], options: AdoptOptions) => {
      await cli.answer(options, adopt(cli, name, points, options));
    });
}

async function retire(cli: Cli, name: string, options: RetireOptions): Promise<Outcome> {
  const { yes = false, thesePointsAreGone: gonePoints = [] } = options;
  const call = { path: { policy: name }, body: { yes, gonePoints } };
  const report = await (await cli.service()).call('retirePolicyPoints', call, cli.signal);
  const text = retirementText(report, { isDone: yes, time: (timeMs) => cli.time(timeMs) });
  return { document: report, text };
}

async function adopt(
  cli: Cli,
  name: string,
  points: readonly string[],
  { yes = false }: AdoptOptions,
): Promise<Outcome> {
  const body = { points: points.map((point) => point.toUpperCase()), yes };
  const call = { path: { policy: name }, body };
  const adopted = await (await cli.service()).call('adoptPoints', call, cli.signal);
  const text = adoptedText(adopted, { isDone: yes, time: (timeMs) => cli.time(timeMs) });
  return { document: adopted, text };
}
