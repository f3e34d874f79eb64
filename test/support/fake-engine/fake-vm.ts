import type { VmDefinition } from '../../../src/vm/definition.ts';
import type { Claim, VmId, VmStatus } from '../../../src/engines/engine.ts';
import type { GuestCommand } from '../../../src/engines/guest-command.ts';
import type { FakeDisk } from './fake-disk.ts';

export interface FakeVm {
  definition: VmDefinition;
  status: VmStatus;
  warnings: string[];
  frozen: boolean;
  fence: number;
  /** The living claim. */
  claim: Claim | undefined;
  readonly disks: readonly FakeDisk[];
  /** Disks that get a new history when the frozen state is given back. */
  readonly distrusted: Set<FakeDisk>;
  /** Commands that are promised to its guest. */
  owed: GuestCommand[];
  nvram: Uint8Array | undefined;
  /** Writes by how long they took: see LATENCY_BOUNDS_MS. */
  readonly writes: number[];
  isEmulated: boolean;
}

export const LATENCY_BOUNDS_MS = [1, 10, 100];

export class FakeClaim implements Claim {
  readonly vmId: VmId;
  readonly jobId: string;
  readonly fence: number;
  private readonly end: () => void;

  constructor(vm: FakeVm, jobId: string) {
    vm.fence += 1;
    this.vmId = vm.definition.id;
    this.jobId = jobId;
    this.fence = vm.fence;
    this.end = () => {
      if (vm.claim === this) {
        vm.claim = undefined;
      }
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end();
  }
}

/** Gives the frozen state back. */
export function giveBack(vm: FakeVm): void {
  vm.frozen = false;
  vm.distrusted.forEach((disk) => {
    disk.replaceTracking();
  });
  vm.distrusted.clear();
}
