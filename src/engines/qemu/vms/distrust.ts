import type { Claim, VmId } from '../../engine.ts';
import type { Claims } from './claims.ts';
import { withNewHistory } from '../state/disk-changes.ts';
import type { ManagedVm } from './managed-vm.ts';

/**
 * Begins a new history for a disk. While the claim uses a frozen state this is only noted, durably:
 * it is carried out when the VM is settled, after that state was given back or its job died.
 */
export async function distrustDisk(
  claims: Claims,
  vm: VmId,
  diskId: string,
  { signal, claim }: { readonly signal: AbortSignal; readonly claim: Claim | undefined },
): Promise<void> {
  const isFrozen = claims.ours(vm, claim)?.isFrozen === true;
  const note = async (managed: ManagedVm): Promise<void> => {
    const disk = managed.state.disks.find(({ id }) => id === diskId);
    if (disk !== undefined) {
      await managed.saveDisk(isFrozen ? { ...disk, distrusted: true } : withNewHistory(disk));
    }
  };
  if (!isFrozen) {
    await claims.whileHeld(vm, signal, note, claim);
    return;
  }
  await using managed = await claims.open(vm, signal, claim);
  await note(managed);
}

/** Carries out what was noted. Nobody may be using a frozen state of the VM. */
export async function dropDistrusted(vm: ManagedVm): Promise<void> {
  for (const disk of vm.tracked.filter(({ distrusted }) => distrusted === true)) {
    await vm.saveDisk(withNewHistory(disk));
  }
}
