import type { Claim, VmId } from '../engine.ts';
import type { Claims } from './claims.ts';
import { withNewHistory } from './disk-changes.ts';
import type { ManagedVm } from './managed-vm.ts';

/**
 * Begins a new line of history for a disk. While the claim uses a frozen state it is only noted,
 * durably: whoever settles the VM when that state is given back, or its job has died, carries it out.
 */
export async function distrustDisk(
  claims: Claims,
  vm: VmId,
  diskId: string,
  { signal, claim }: { readonly signal: AbortSignal; readonly claim: Claim | undefined },
): Promise<void> {
  if (claims.ours(vm, claim)?.isFrozen === true) {
    await using managed = await claims.open(vm, signal, claim);
    const disk = managed.state.disks.find(({ id }) => id === diskId);
    if (disk !== undefined) {
      await managed.saveDisk({ ...disk, distrusted: true });
    }
    return;
  }
  const action = async (managed: ManagedVm): Promise<void> => {
    const disk = managed.state.disks.find(({ id }) => id === diskId);
    if (disk !== undefined) {
      await managed.saveDisk(withNewHistory(disk));
    }
  };
  await claims.whileHeld(vm, signal, action, claim);
}

/** Carries out what was noted; nobody uses a frozen state of the VM. */
export async function dropDistrusted(vm: ManagedVm): Promise<void> {
  for (const disk of vm.tracked.filter(({ distrusted }) => distrusted === true)) {
    await vm.saveDisk(withNewHistory(disk));
  }
}
