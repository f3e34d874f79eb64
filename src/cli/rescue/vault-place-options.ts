import { Option, type Command } from 'commander';
import type { CliEnvironment } from '../cli-environment.ts';
import { withSpendingOptions } from './spending-options.ts';

/** Adds options to a command. */
export type AddOptions = (command: Command) => Command;

type VaultDefaults = NonNullable<CliEnvironment['vaultDefaults']>;

/**
 * Returns functions that add the options of commands that open a vault: `at` says where it is,
 * `opened` also what opens it, `spent` also what it may use.
 */
export function vaultOptions({
  vault,
  endpoint,
}: VaultDefaults): Record<'at' | 'opened' | 'spent', AddOptions> {
  const text = 'a folder or s3://bucket/prefix; or set HYPERKEEP_VAULT';
  const at: AddOptions = (command) =>
    command
      .addOption(placeOption('--vault <place>', text, vault))
      .option(
        '--endpoint <url>',
        'an S3 service that is not AWS; or set HYPERKEEP_ENDPOINT',
        endpoint,
      )
      .option('--region <name>', 'region of the bucket');
  const opened: AddOptions = (command) =>
    at(command)
      .option('--recovery-file <path>', 'open the vault with this file')
      .option(
        '--key <id>',
        'try the passphrase on this key alone, by its id or the beginning of it',
      );
  return { at, opened, spent: (command) => withSpendingOptions(opened(command)) };
}

/** Makes an option that is required unless the settings have it. */
export function placeOption(flags: string, text: string, given: string | undefined): Option {
  const option = new Option(flags, text);
  return given === undefined ? option.makeOptionMandatory() : option.default(given);
}
