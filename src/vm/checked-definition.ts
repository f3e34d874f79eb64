import { Fault } from '../kernel/fault.ts';
import { schemaProblems } from '../kernel/text/schema-problems.ts';
import { VmDefinition } from './definition.ts';

/**
 * Checks a definition made from what somebody typed or chose on this host.
 *
 * @param what begins the message: `The VM cannot be restored there`
 * @throws Fault `vm.definition-invalid`, which names the fields
 */
export function checkedDefinition(definition: unknown, what: string): VmDefinition {
  const parsed = VmDefinition.safeParse(definition);
  if (!parsed.success) {
    throw new Fault(
      'vm.definition-invalid',
      `${what}: ${schemaProblems(parsed.error, 'definition')}.`,
    );
  }
  return parsed.data;
}
