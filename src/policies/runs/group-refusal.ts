import type { RunChange } from '../../catalog/run-rows.ts';
import { Fault } from '../../kernel/fault.ts';
import { GROUP_MEMBERS_MAX } from '../../vault/format/limits.ts';
import type { HostedVm } from '../hosted-vm.ts';
import type { KnownPolicy } from '../known-policy.ts';

/**
 * Returns the end of runs that must not begin: their VMs cannot be frozen at one moment. Empty if
 * they can, or need not.
 */
export function refusalOf(
  { name, document }: KnownPolicy,
  vms: readonly HostedVm[],
): Pick<RunChange, 'state' | 'why' | 'fault'> {
  const hosts = new Set(vms.map(({ host }) => host.id));
  const problem =
    vms.length > GROUP_MEMBERS_MAX
      ? `has ${String(vms.length)} VMs, more than ${String(GROUP_MEMBERS_MAX)}`
      : hosts.size > 1
        ? `has VMs on ${String(hosts.size)} hosts: ${placesOf(vms)}`
        : undefined;
  if (document.group === undefined || problem === undefined) {
    return {};
  }
  const { code, message, context } = new Fault(
    'policy.group-refused',
    `The group of the policy ${name} ${problem}. They cannot be frozen at one moment.`,
    { policy: name },
  );
  return { state: 'failed', why: null, fault: { code, message, context } };
}

const PLACES_SHOWN = 12;

function placesOf(vms: readonly HostedVm[]): string {
  const places = vms.slice(0, PLACES_SHOWN).map((vm) => `${vm.name} on ${vm.host.name}`);
  return places.join(', ') + (vms.length > PLACES_SHOWN ? ', …' : '');
}
