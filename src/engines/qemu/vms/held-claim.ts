import { Fault } from '../../../kernel/fault.ts';
import type { Claim } from '../../engine.ts';
import type { FileLock } from '../../../kernel/files/file-lock.ts';
import { busy, type ManagedVm } from './managed-vm.ts';

interface ClaimFacts {
  readonly vmId: string;
  readonly jobId: string;
  /** Number of this claim in the VM's state file, durable before the claim is used. */
  readonly fence: number;
}

interface Told {
  readonly ended: () => void;
  /** Called when somebody else may hold the VM. */
  readonly released: () => void;
}

/**
 * A claim on a VM. It holds the VM's hold lock, which the kernel frees with the process, so that
 * the next service can take over from a dead one.
 */
export class HeldClaim implements Claim {
  readonly vmId: string;
  readonly jobId: string;
  readonly fence: number;
  private isOver = false;
  /** Whether a frozen state of it is in use. */
  isFrozen = false;
  private readonly hold: FileLock;
  private readonly told: Told;

  constructor({ vmId, jobId, fence }: ClaimFacts, hold: FileLock, told: Told) {
    this.vmId = vmId;
    this.jobId = jobId;
    this.fence = fence;
    this.hold = hold;
    this.told = told;
  }

  /** @throws Fault `engine.fenced` if it has ended, or another attempt has claimed the VM since */
  assertNewest(vm: ManagedVm): void {
    if (this.isOver || vm.state.fence !== this.fence) {
      throw fenced(this);
    }
  }

  /** @throws Fault `engine.vm-busy` while a frozen state of the claim is in use */
  assertUnfrozen(): void {
    if (this.isFrozen) {
      throw busy(this.vmId, 'The job already holds a frozen state of the VM.');
    }
  }

  async release(): Promise<void> {
    this.isOver = true;
    this.told.ended();
    await this.hold.release();
    this.told.released();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

export function fenced({ vmId, jobId, fence }: Claim): Fault {
  return new Fault(
    'engine.fenced',
    `The job ${jobId} does not hold the VM any more (claim ${fence}); nothing was done to the VM.`,
    { vmId, jobId, fence },
  );
}
