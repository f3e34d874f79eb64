import type { Command } from 'commander';
import type { CollectorStatus } from '../../api/contract/collector.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import type { Outcome } from '../outcome.ts';
import { plainText } from '../terminal/plain-text.ts';
import { count, formatDuration } from '../terminal/quantities.ts';
import { findVault, type VaultAsked } from './find-vault.ts';

/** Adds `collector`. */
export function addCollectorCommands(program: Command, cli: Cli): void {
  const collector = program
    .command('collector')
    .description('a service that gives points up for others, within floors of its own');
  collector
    .command('show', { isDefault: true })
    .description('its floors, and what it did at the last look at each vault')
    .action(async (options: CommonOptions) => {
      await cli.answer(options, show(cli));
    });
  collector
    .command('accept')
    .description('take the points of a VM as they are, although they were changed or are gone')
    .argument('<vm>', 'id of the VM, as "collector show" names it')
    .option('--vault <name>', 'in which vault, where it cannot be told')
    .option('--yes', 'do not ask')
    .action(async (vm: string, options: CommonOptions & VaultAsked & { yes?: boolean }) => {
      await cli.answer(options, accept(cli, vm, options));
    });
}

async function show(cli: Cli): Promise<Outcome> {
  const answer = await (await cli.service()).call('collector', {}, cli.signal);
  return { document: answer, text: collectorText(answer, (timeMs) => cli.time(timeMs)) };
}

function collectorText(
  { floors, looks }: CollectorStatus,
  time: (timeMs: number) => string,
): string {
  const { points, youngMs, dailyShare } = floors;
  const share = String(Math.round(dailyShare * 100));
  return [
    `Of each VM it keeps what is younger than ${formatDuration(youngMs)} and the first points of ${count(points, 'day')}, and gives up at most ${share} % a day.\n`,
    ...(looks.length === 0 ? ['It has not looked at a vault since it started.\n'] : []),
    ...looks.flatMap((look) => {
      const refused = Object.entries(look.refused).map(([why, n]) => `${String(n)} ${why}`);
      const kept = refused.length === 0 ? '' : `; kept: ${refused.join(', ')}`;
      const gone = count(look.givenUp.length, 'point');
      return [
        `${look.vaultId}, ${time(look.atMs)}: ${gone} of ${String(look.points)} given up${kept}\n`,
        ...look.vmsInDoubt.map(
          (vm) =>
            `  ${vm}: points were changed or are gone, so nothing of it is given up. Look who did that, then: hyperkeep collector accept ${vm}\n`,
        ),
        ...look.wentBack.map(
          (service) => `  ${plainText(service)} shows older decisions than before\n`,
        ),
      ];
    }),
  ].join('');
}

async function accept(
  cli: Cli,
  vm: string,
  options: VaultAsked & { readonly yes?: boolean },
): Promise<Outcome> {
  const vault = await findVault(cli, options, []);
  await cli.confirm(
    `Take the points of ${vm} as they are? They count as seen for the first time.`,
    options,
  );
  const service = await cli.service();
  const path = { vault };
  const answer = await service.call('acceptVm', { path, body: { vm } }, cli.signal);
  return {
    document: answer,
    text: `${count(answer.points, 'point')} of ${plainText(vm)} taken as they are; the next look sees them for the first time.\n`,
  };
}
