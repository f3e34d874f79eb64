import type { Claim, VmId } from '../../engine.ts';
import type { EngineParts } from './engine-parts.ts';
import { FileLock } from '../../../kernel/files/file-lock.ts';
import { fenced, HeldClaim } from './held-claim.ts';
import { busy, loadVm, ManagedVm } from './managed-vm.ts';
import { vmPaths } from '../state/vm-paths.ts';

/** How long a claim waits for a hold that somebody is only checking. */
const HOLD_WAIT_MS = 300;

/**
 * Decides who may act on which VM, by each VM's hold lock and the count of claims in its state
 * file.
 */
export class Claims {
  private readonly parts: EngineParts;
  private readonly live = new Set<HeldClaim>();

  private readonly onReleased: (vmId: VmId) => void;

  /** @param onReleased called when a claim no longer holds its VM */
  constructor(parts: EngineParts, onReleased: (vmId: VmId) => void) {
    this.parts = parts;
    this.onReleased = onReleased;
  }

  /**
   * Claims a VM. The number is durable before the claim is returned.
   * @throws Fault `engine.vm-busy`, `engine.vm-not-found`
   */
  async take(vmId: VmId, jobId: string, signal: AbortSignal): Promise<HeldClaim> {
    const hold = await this.hold(vmId, signal);
    try {
      await using managed = await this.open(vmId, signal);
      const fence = managed.state.fence + 1;
      await managed.save({ fence });
      const claim = new HeldClaim({ vmId, jobId, fence }, hold, {
        ended: () => this.live.delete(claim),
        released: () => {
          this.onReleased(vmId);
        },
      });
      this.live.add(claim);
      return claim;
    } catch (error) {
      await hold.release();
      throw error;
    }
  }

  /**
   * Returns a claim that this engine gave.
   *
   * @throws Fault `engine.fenced` for a claim that has ended, or that another engine gave
   */
  ours(vmId: VmId, claim: Claim | undefined): HeldClaim | undefined {
    const found = [...this.live].find((held) => held === claim && held.vmId === vmId);
    if (claim !== undefined && found === undefined) {
      throw fenced(claim);
    }
    return found;
  }

  /** Returns a claim that this engine gave. @throws Fault `engine.fenced` for any other */
  held(claim: Claim): HeldClaim {
    const found = this.ours(claim.vmId, claim);
    if (found === undefined) {
      throw fenced(claim);
    }
    return found;
  }

  isLive(claim: HeldClaim): boolean {
    return this.live.has(claim);
  }

  /** Takes the VM's action lock; for a claim only if no later one was given. */
  async open(vmId: VmId, signal: AbortSignal, claim?: Claim): Promise<ManagedVm> {
    const ours = this.ours(vmId, claim);
    const { folders, limits } = this.parts;
    const paths = vmPaths(folders, vmId);
    const managed = await ManagedVm.open(paths, vmId, limits.actionWaitMs, signal);
    try {
      ours?.assertNewest(managed);
      return managed;
    } catch (error) {
      await managed[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Does what must not happen while a frozen state is in use. */
  async whileHeld<T>(
    vmId: VmId,
    signal: AbortSignal,
    action: (managed: ManagedVm) => Promise<T>,
    claim?: Claim,
  ): Promise<T> {
    const ours = this.ours(vmId, claim);
    ours?.assertUnfrozen();
    const hold = ours === undefined ? await this.hold(vmId, signal) : undefined;
    try {
      await using managed = await this.open(vmId, signal, claim);
      return await action(managed);
    } finally {
      await hold?.release();
    }
  }

  /** Only checks: taking the hold needs the action lock, which we have or take next. */
  async isUnheld(vmId: VmId, signal: AbortSignal): Promise<boolean> {
    const { holdLock } = vmPaths(this.parts.folders, vmId);
    const hold = await FileLock.take(holdLock, 0, signal);
    await hold?.release();
    return hold !== undefined;
  }

  /** Ends all claims with the service: what its jobs still want to do is refused. */
  async close(): Promise<void> {
    await Promise.all([...this.live].map(async (claim) => claim.release()));
  }

  /** Takes the right to use or end the VM's frozen states, until it is released. */
  private async hold(vmId: VmId, signal: AbortSignal): Promise<FileLock> {
    const paths = vmPaths(this.parts.folders, vmId);
    await loadVm(paths, vmId);
    const hold = await FileLock.take(paths.holdLock, HOLD_WAIT_MS, signal);
    if (hold === undefined) {
      throw busy(vmId, 'A job already holds the VM; try again when it has ended.');
    }
    return hold;
  }
}
