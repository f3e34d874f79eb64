import { z } from 'zod';
import { Fault } from '../kernel/fault.ts';

const Id = z.uuid();

/**
 * Refuses a name that looks like an id: two VMs would then answer to one word.
 * @throws Fault `request.invalid`
 */
export function refuseIdAsName(name: string): void {
  if (Id.safeParse(name).success) {
    throw new Fault(
      'request.invalid',
      `"${name}" has the form of a VM's id and cannot be a name. Take another name; a VM is chosen by its id with --vm-id.`,
      { name },
    );
  }
}
