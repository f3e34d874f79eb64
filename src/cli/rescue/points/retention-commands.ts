import type { Command } from 'commander';
import type { Cli } from '../../cli.ts';
import { withPruneRules } from '../../options/prune-rules.ts';
import { withWhichVm } from '../../options/which-vm.ts';
import type { HoldOptions, RetireOptions } from './point-retention.ts';
import type { VaultKey } from '../vault-access.ts';
import type { PruneOptions } from './vault-space.ts';

/**
 * Adds the commands that give points up, keep them, and free space.
 *
 * `opened` adds the options that say which vault and what opens it; `spent` also what it may use.
 */
export function addRetentionCommands(
  rescue: Command,
  cli: Cli,
  { opened, spent }: Record<'opened' | 'spent', (command: Command) => Command>,
): void {
  withWhichVm(
    opened(rescue.command('retire').description('give recovery points up, for ever')).argument(
      '<points...>',
      'ids, their beginnings, or "latest"',
    ),
    'whose points; needed for "latest" when the vault holds several VMs',
  )
    .option('--dry-run', 'say what it would free, and stop')
    .option('--yes', 'do not ask')
    .action(async (points: string[], options: RetireOptions) => {
      const { retire } = await import('./point-retention.ts');
      await cli.answer(options, retire(cli, points, options));
    });
  withWhichVm(
    opened(
      rescue.command('hold').description('keep a recovery point from being given up'),
    ).argument('[point]', 'id, its beginning, or "latest"; without it, those that are held'),
    'whose point; needed for "latest" when the vault holds several VMs',
  )
    .option('--reason <text>', 'why, for those who come later', '')
    .option('--release', 'end all holds on the point')
    .option('--yes', 'do not ask')
    .action(async (point: string | undefined, options: HoldOptions) => {
      const { hold } = await import('./point-retention.ts');
      await cli.answer(options, hold(cli, point, options));
    });
  opened(rescue.command('revive').description('bring a point back that was given up'))
    .argument('[point]', 'id or its beginning; without it, those that can be tried')
    .action(async (point: string | undefined, options: VaultKey) => {
      const { revive } = await import('./point-retention.ts');
      await cli.answer(options, revive(cli, point, options));
    });
  withPruneRules(
    spent(rescue.command('prune').description('give back the space of points that were given up')),
  )
    .option('--dry-run', 'say what would be done, and stop')
    .option('--yes', 'do not ask')
    .action(async (options: PruneOptions) => {
      const { prune } = await import('./vault-space.ts');
      await cli.answer(options, prune(cli, options));
    });
  spent(
    rescue.command('usage').description('what recovery points take, and how the vault grows'),
  ).action(async (options: VaultKey) => {
    const { usage } = await import('./vault-space.ts');
    await cli.answer(options, usage(cli, options));
  });
}
