import { Option, type Command } from 'commander';

/** How a new vault keeps what it has: who may give points up, and locks. */
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
