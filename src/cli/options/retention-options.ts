import { Option, type Command } from 'commander';

/** Adds the options of a new vault that say who may give points up, and what is locked. */
export function withRetentionOptions(command: Command): Command {
  return command
    .option('--separate-retention-key', 'give points up only with a passphrase of its own')
    .addOption(
      new Option('--lock <mode>', 'nobody removes what is needed').choices([
        'governance',
        'compliance',
      ]),
    )
    .option('--lock-days <days>', 'how long at least, counted from any moment; default 30');
}
