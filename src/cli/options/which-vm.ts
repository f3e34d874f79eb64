import type { Command } from 'commander';

/**
 * Which VM is meant: by its name, or by its id if names repeat. If both are given, both must match.
 */
export interface WhichVm {
  readonly vm?: string | undefined;
  readonly vmId?: string | undefined;
}

/** Goes with `--vm`, whose text differs between commands. */
export const VM_ID_OPTION = ['--vm-id <id>', 'the VM by its id, where two have one name'] as const;

/**
 * Adds `--vm` and `--vm-id` to a command.
 *
 * @param text what the VM is named for: `whose point`
 */
export function withWhichVm(command: Command, text: string): Command {
  return command.option('--vm <name>', text).option(...VM_ID_OPTION);
}

/** Returns the VM's name, else its id. */
export function vmText({ vm, vmId }: WhichVm): string {
  return vm ?? vmId ?? '';
}
