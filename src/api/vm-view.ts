import type { VmSummary } from '../engines/engine.ts';
import type { KnownVm } from '../inventory/known-vms.ts';
import { VmStatus, type Vm } from './contract/vms.ts';

/** Returns a VM of this host as the engine knows it, in the form of the contract. */
export function viewOfVm({ id, name, status, definition, warnings, unmerged }: VmSummary): Vm {
  return {
    id,
    name,
    status,
    ...(definition === undefined ? {} : { definition }),
    warnings: [...warnings],
    unmerged: unmerged.map((disk) => ({ ...disk, files: [...disk.files] })),
  };
}

/** Returns a VM of any host, with what is remembered of it. */
export function viewOfKnownVm(vm: KnownVm): Vm {
  const { id, name, status, summary, host, tags, firstSeenMs, lastSeenMs, goneAtMs } = vm;
  return {
    ...(summary === undefined
      ? // A newer service may know more states.
        { id, name, status: VmStatus.catch('unknown').parse(status), warnings: [], unmerged: [] }
      : viewOfVm(summary)),
    name,
    host,
    tags: [...tags],
    firstSeenMs,
    lastSeenMs,
    ...(goneAtMs === undefined ? {} : { goneAtMs }),
  };
}
