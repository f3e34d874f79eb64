import type { Command } from 'commander';
import { Fault } from '../../../kernel/fault.ts';
import type { Cli } from '../../cli.ts';
import { limitsOf, withLimitOptions, type LimitOptions } from '../../options/spending-limits.ts';
import type { Outcome } from '../../outcome.ts';
import { askLine, canAsk } from '../../terminal/prompt.ts';
import { endedJob, runJob, withWait, type JobCall, type WaitOptions } from '../job-run.ts';
import { jobResultText } from '../job-text.ts';

interface DestroyOptions extends WaitOptions, LimitOptions {
  readonly name?: string;
  readonly dryRun?: boolean;
  readonly evenIfUsed?: boolean;
}

/** Adds `vault destroy`. */
export function addDestroyCommand(vault: Command, cli: Cli): void {
  withWait(
    withLimitOptions(
      vault
        .command('destroy')
        .description('remove a vault with all its recovery points, for good')
        .argument('<vault>', 'name or id'),
    ),
  )
    .option('--name <name>', 'its name again, instead of typing it when asked')
    .option('--even-if-used', 'although jobs, readers or holds need it')
    .option('--dry-run', 'say what would go, and stop')
    .action(async (name: string, options: DestroyOptions) => {
      await cli.answer(options, destroy(cli, name, options));
    });
}

async function destroy(cli: Cli, vault: string, options: DestroyOptions): Promise<Outcome> {
  const body = { limits: limitsOf(options), evenIfUsed: options.evenIfUsed === true };
  const call: JobCall = { route: 'destroyVault', vault, body };
  const plan = await endedJob(cli, { ...call, body: { ...body, dryRun: true } });
  const text = jobResultText(plan, (timeMs) => cli.time(timeMs));
  if (options.dryRun === true) {
    return { document: { plan }, text: `${text}Nothing was changed.\n` };
  }
  cli.sayLines(text);
  const name = options.name ?? (await askName(cli));
  const done = await runJob(cli, { ...call, body: { ...body, dryRun: false, name } }, options);
  return { document: { plan, job: done.document }, text: done.text };
}

async function askName({ environment, signal }: Cli): Promise<string> {
  const { terminal } = environment;
  if (!canAsk(terminal)) {
    throw new Fault(
      'request.invalid',
      'This needs the name of the vault again: run it in a terminal or add --name NAME.',
    );
  }
  return askLine(terminal, 'Type the name of the vault to destroy it: ', signal);
}
