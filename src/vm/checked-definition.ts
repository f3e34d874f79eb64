import { Fault } from '../kernel/fault.ts';
import { VmDefinition } from './definition.ts';

const PROBLEMS_MAX = 3;

/**
 * Checks a definition made from what somebody typed or chose on this host.
 *
 * @param what begins the message: `The VM cannot be restored there`
 * @throws Fault `vm.definition-invalid`, which names the fields
 */
export function checkedDefinition(definition: unknown, what: string): VmDefinition {
  const parsed = VmDefinition.safeParse(definition);
  if (!parsed.success) {
    throw new Fault('vm.definition-invalid', `${what}: ${definitionProblems(parsed.error)}.`);
  }
  return parsed.data;
}

/** Returns `disks.0.path: an absolute path without commas or line breaks; …`. */
export function definitionProblems(error: {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
}): string {
  return error.issues
    .slice(0, PROBLEMS_MAX)
    .map(({ path, message }) => `${path.map(String).join('.') || 'definition'}: ${message}`)
    .join('; ');
}
