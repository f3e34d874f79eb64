import { type Command } from 'commander';

/** Which VM is meant: its name, or its id where names repeat. With both, both have to fit. */
export interface WhichVm {
  readonly vm?: string | undefined;
  readonly vmId?: string | undefined;
}

/**
 * Adds `--vm` and `--vm-id` to a command.
 *
 * @param text what the VM is asked for: `whose point`
 */
export function withWhichVm(command: Command, text: string): Command {
  return command
    .option('--vm <name>', text)
    .option('--vm-id <id>', 'the VM by its id, where two have one name');
}

/** As people would say it: the name, else the id. */
export function vmText({ vm, vmId }: WhichVm): string {
  return vm ?? vmId ?? '';
}
