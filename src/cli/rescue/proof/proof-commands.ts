import { Option, type Command } from 'commander';
import type { Cli } from '../../cli.ts';
import type { RepairCommandOptions } from './repair-vault.ts';
import type { ScrubCommandOptions } from './scrub-vault.ts';

/**
 * Add the options that say which vault (`at`), and also what opens it and what it may use
 * (`spent`).
 */
export interface VaultOptions {
  readonly at: (command: Command) => Command;
  readonly spent: (command: Command) => Command;
}

/** Adds the commands that look for damage and mend it. */
export function addProofCommands(rescue: Command, cli: Cli, { spent }: VaultOptions): void {
  spent(rescue.command('scrub').description('read packs, longest unchecked first, and prove them'))
    .option('--budget <amount>', 'bytes to read; default: a 30th of the vault')
    .option('--share <part>', 'of the vault: 1/30, 10%')
    .option('--all', 'the whole vault')
    .addOption(
      new Option('--depth <how>', 'frames: decrypt all; ids: also compute every chunk id')
        .choices(['frames', 'ids'])
        .default('ids'),
    )
    .option('--without-key', 'checksums only: asks for no passphrase, writes nothing')
    .option('--points', 'say of each recovery point when it was last proven')
    .action(async (options: ScrubCommandOptions) => {
      const { scrubVault } = await import('./scrub-vault.ts');
      await cli.answer(options, scrubVault(cli, options));
    });
  spent(rescue.command('repair').description('mend what scrubs found damaged or is missing'))
    .option('--copy <place>', 'a copy of the vault: a folder or s3://bucket/prefix')
    .option('--copy-endpoint <url>', 'an S3 service that is not AWS')
    .option('--copy-region <name>', 'region of the bucket')
    .option('--copy-profile <name>', 'profile of the AWS settings with the credentials')
    .option('--overwrite', 'write over damaged small objects; packs are never written over')
    .option('--dry-run', 'say what would be written, and stop')
    .option('--yes', 'do not ask')
    .action(async (options: RepairCommandOptions) => {
      const { repairVault } = await import('./repair-vault.ts');
      await cli.answer(options, repairVault(cli, options));
    });
}
