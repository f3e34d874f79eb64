import { isFault } from '../../../kernel/fault.ts';
import type { VmDefinition } from '../../../vm/definition.ts';
import type { FreezeOptions } from '../../engine.ts';
import { FrozenChain } from '../layers/frozen-chain.ts';
import { settle } from '../merge/settle.ts';
import type { VmPaths } from '../state/vm-paths.ts';
import type { Layer } from '../state/vm-state.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import type { HeldClaim } from '../vms/held-claim.ts';
import { ManagedVm } from '../vms/managed-vm.ts';
import { OverlayWatch } from './overlay-watch.ts';

/** Cancelling the job must not cut off giving a frozen state back. */
const DISPOSE_MS_MAX = 6 * 60 * 60 * 1000;

export interface Freezing {
  readonly parts: EngineParts;
  readonly paths: VmPaths;
  readonly options: FreezeOptions;
  /** Lives as long as the frozen state is in use. */
  readonly claim: HeldClaim;
  /** Called when the frozen state is no longer in use. */
  readonly done: () => Promise<void>;
}

/**
 * What reading a frozen state keeps open. Made before anything is frozen, and ends in one of three
 * ways: its backup gives the state back, the service gives it up, or the freeze fails.
 */
export class FrozenUse {
  readonly watch: OverlayWatch;
  private readonly chains: FrozenChain[] = [];
  private readonly freezing: Freezing;
  private readonly vmId: string;

  constructor(freezing: Freezing, vm: VmDefinition) {
    this.watch = new OverlayWatch(freezing.parts, vm);
    this.freezing = freezing;
    this.vmId = vm.id;
  }

  /** Opens one disk's frozen layers. */
  async open(layers: readonly Layer[], signal: AbortSignal): Promise<FrozenChain> {
    const chain = await FrozenChain.open(layers, signal);
    this.chains.push(chain);
    return chain;
  }

  /** From now on the end of the service gives the state up. */
  begin(): void {
    this.freezing.parts.frozen.add(this.giveUp);
  }

  /**
   * The backup has read everything: the layers are merged. If that fails, the next action on the VM
   * tries again.
   */
  readonly giveBack = once(async () => {
    const { parts, done } = this.freezing;
    this.watch.stop();
    parts.frozen.delete(this.giveUp);
    const signal = AbortSignal.any([
      AbortSignal.timeout(DISPOSE_MS_MAX),
      parts.mergeSignal(this.vmId),
    ]);
    try {
      await this.closeChains();
      await this.merge(signal);
    } catch (error) {
      if (!isFault(error) && !signal.aborted) {
        throw error;
      }
      parts.log.warn('engine.merge-postponed', { vmId: this.vmId, error });
    } finally {
      await done();
    }
  });

  /** The freeze failed: its caller ends the rest. */
  async abandon(): Promise<void> {
    this.watch.stop();
    await this.closeChains();
  }

  /** The service ends: nothing can be read any more, and nothing is merged. */
  private readonly giveUp = once(async () => {
    this.watch.revoke();
    await this.closeChains();
    await this.freezing.claim.release();
  });

  private readonly closeChains = once(async () => {
    await Promise.all(this.chains.map(async (chain) => chain.close()));
  });

  private async merge(signal: AbortSignal): Promise<void> {
    const { parts, paths, claim } = this.freezing;
    await using vm = await ManagedVm.open(paths, this.vmId, parts.limits.actionWaitMs, signal);
    claim.assertNewest(vm);
    await vm.dropHolder();
    await settle(parts, vm, { mayMerge: true }, signal);
  }
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return async () => (running ??= run());
}
