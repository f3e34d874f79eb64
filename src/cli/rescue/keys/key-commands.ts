import { InvalidArgumentError, type Command } from 'commander';
import { KEY_LABEL_CHARACTERS_MAX } from '../../../vault/format/limits.ts';
import type { Cli } from '../../cli.ts';
import type { KeepOptions } from './keep-locks.ts';
import { withSpendingOptions } from '../spending-options.ts';
import type { ProbeOptions } from '../probe-store.ts';
import type { KeysOptions } from './vault-keys.ts';

/**
 * Adds the commands for the keys of a vault, for what its store can do, and for its locks.
 *
 * @param opened adds the options that say which vault and what opens it
 */
export function addKeyCommands(
  rescue: Command,
  cli: Cli,
  opened: (command: Command) => Command,
): void {
  addKeys(rescue.command('keys').description('who can open the vault'), cli, opened);
  opened(rescue.command('probe').description('try what a store can do'))
    .option('--markdown', 'as a table for a document')
    .option('--save', 'open the vault that is there and keep the result in it')
    .option('--single-writer', 'accept a network file system or a caching store')
    .action(async (options: ProbeOptions) => {
      const { probeStore } = await import('../probe-store.ts');
      await cli.answer(options, probeStore(cli, options));
    });
  withSpendingOptions(
    opened(rescue.command('keep').description('extend the locks of what recovery points need')),
  )
    .option('--everything', 'also what is not due')
    .action(async (options: KeepOptions) => {
      const { keepLocks } = await import('./keep-locks.ts');
      await cli.answer(options, keepLocks(cli, options));
    });
}

function addKeys(keys: Command, cli: Cli, opened: (command: Command) => Command): void {
  const load = async () => await import('./vault-keys.ts');
  opened(keys.command('list').description('passphrases and recovery files')).action(
    async (options: KeysOptions) => {
      await cli.answer(options, (await load()).listKeys(cli, options));
    },
  );
  fresh(opened(keys.command('add').description('add a passphrase')))
    .option('--retention', 'one that opens the separate retention key')
    .action(async (options: KeysOptions) => {
      await cli.answer(options, (await load()).addKey(cli, options));
    });
  fresh(
    opened(keys.command('change').description('change the passphrase that opens the vault now')),
  ).action(async (options: KeysOptions) => {
    await cli.answer(options, (await load()).changeKey(cli, options));
  });
  opened(keys.command('remove').description('remove a passphrase'))
    .argument('<key>', 'its id, or the beginning of it')
    .option('--yes', 'do not ask')
    .action(async (key: string, options: KeysOptions) => {
      await cli.answer(options, (await load()).removeKey(cli, key, options));
    });
  replaced(
    opened(keys.command('recovery-file').description('make a new recovery file for the old ones')),
  ).action(async (options: KeysOptions) => {
    await cli.answer(options, (await load()).replaceRecoveryFile(cli, options));
  });
  replaced(
    fresh(opened(keys.command('rotate').description('store what is new under a new master key'))),
  )
    .option('--keep <file...>', 'files with further passphrases that open the vault afterwards')
    .option('--yes', 'do not ask')
    .action(async (options: KeysOptions) => {
      await cli.answer(options, (await load()).rotateKeys(cli, options));
    });
  replaced(
    fresh(
      opened(
        keys.command('separate-retention').description('give the vault a retention key of its own'),
      ),
    ),
  )
    .option('--yes', 'do not ask')
    .action(async (options: KeysOptions) => {
      await cli.answer(options, (await load()).separateRetention(cli, options));
    });
}

function fresh(command: Command): Command {
  return command
    .option('--label <text>', 'for people: whose it is', labelOf)
    .option('--generate-passphrase', 'generate a strong passphrase and show it once');
}

/** Checks the label before the vault is unlocked. */
function labelOf(text: string): string {
  if (text.length > KEY_LABEL_CHARACTERS_MAX) {
    throw new InvalidArgumentError(`It has at most ${KEY_LABEL_CHARACTERS_MAX} characters`);
  }
  return text;
}

function replaced(command: Command): Command {
  return command.option(
    '--new-recovery-file <path>',
    'default: hyperkeep-recovery-NAME-DATE.txt in this folder',
  );
}
