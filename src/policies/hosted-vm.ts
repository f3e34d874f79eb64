import type { KnownVms, VmHost } from '../inventory/known-vms.ts';
import type { SelectableVm } from './document/selector.ts';

/** A VM that policies choose from, and where it is: its jobs run there and nowhere else. */
export interface HostedVm extends SelectableVm {
  readonly host: VmHost;
}

/** The VMs of all hosts. */
export function hostedVms(known: KnownVms): (signal: AbortSignal) => Promise<HostedVm[]> {
  return async (signal) =>
    (await known.remembered(signal)).map(({ id, name, tags, host }) => ({ id, name, tags, host }));
}
