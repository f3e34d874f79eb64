import { type Command } from 'commander';

/** Which VM is meant: its name, or its id where names repeat. With both, both have to fit. */
export interface WhichVm {
  readonly vm?: string | undefined;
  readonly vmId?: string | undefined;
}

/** Beside a `--vm` of any wording. */
export const VM_ID_OPTION = ['--vm-id <id>', 'the VM by its id, where two have one name'] as const;

/**
 * Adds `--vm` and `--vm-id` to a command.
 *
 * @param text what the VM is asked for: `whose point`
 */
export function withWhichVm(command: Command, text: string): Command {
  return command.option('--vm <name>', text).option(...VM_ID_OPTION);
}

/** As people would say it: the name, else the id. */
export function vmText({ vm, vmId }: WhichVm): string {
  return vm ?? vmId ?? '';
}
