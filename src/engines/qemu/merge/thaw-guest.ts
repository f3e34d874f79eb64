import { setTimeout as delay } from 'node:timers/promises';
import { isFault } from '../../../kernel/fault.ts';
import type { VmId } from '../../engine.ts';
import { GuestAgent } from '../guest/guest-agent.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import type { BackgroundMerges } from './background-merges.ts';

/** A guard that lost its service thaws at once; one with a slow guest takes a little longer. */
const ANSWER_MS_MAX = 3_000;
/** Between two tries: the agent may refuse at once, or its guard may have the socket. */
const TRY_AGAIN_MS = 200;
/** Between the tries in the background; each pause is twice as long as the one before. */
const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 30_000;

/**
 * Thaws a guest whose freeze was sent and whose thaw nobody has heard of: a service and its guard
 * were both killed, or the agent did not answer. The action lock is held meanwhile, so it takes no
 * longer than others wait for that.
 *
 * @returns whether it was frozen; undefined if its agent did not answer
 */
export async function thawGuest(
  { clock, limits }: Pick<EngineParts, 'clock' | 'limits'>,
  vm: ManagedVm,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const endMs = clock.monotonicMs() + limits.thawMsMax;
  const atMostMs = () => Math.max(1, Math.min(ANSWER_MS_MAX, endMs - clock.monotonicMs()));
  while (clock.monotonicMs() < endMs) {
    try {
      await using agent = await GuestAgent.connect(vm.paths.agent, atMostMs(), signal);
      const wasFrozen = (await agent.freezeStatus(atMostMs(), signal)) === 'frozen';
      await agent.thaw(atMostMs(), signal);
      await vm.save({ freezeSent: false });
      return wasFrozen;
    } catch (error) {
      if (!isFault(error, 'engine.agent-silent')) {
        throw error;
      }
      await delay(TRY_AGAIN_MS, undefined, { signal });
    }
  }
  return undefined;
}

/**
 * Goes on asking guests that did not answer, beside the actions on their VMs: they may have frozen
 * their file systems when nobody listened any more.
 */
export class LateThaws {
  private readonly begun = new Set<VmId>();
  private readonly background: Pick<BackgroundMerges, 'run'>;
  private readonly open: (vm: VmId, signal: AbortSignal) => Promise<ManagedVm>;

  /** @param open takes the action lock */
  constructor(
    background: Pick<BackgroundMerges, 'run'>,
    open: (vm: VmId, signal: AbortSignal) => Promise<ManagedVm>,
  ) {
    this.background = background;
    this.open = open;
  }

  /** Asks until the guest is thawed, or is no more. */
  begin(parts: EngineParts, vm: VmId): void {
    if (!this.begun.has(vm)) {
      this.begun.add(vm);
      const asking = this.background.run(vm, async (signal) => this.ask(parts, vm, signal));
      void asking.finally(() => this.begun.delete(vm));
    }
  }

  private async ask(parts: EngineParts, vmId: VmId, signal: AbortSignal): Promise<void> {
    for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      await delay(pauseMs, undefined, { signal });
      await using vm = await this.open(vmId, signal).catch(unlessBusy);
      if (vm === undefined) {
        continue;
      }
      const wasFrozen = vm.state.freezeSent ? await thawGuest(parts, vm, signal) : false;
      if (wasFrozen !== undefined) {
        parts.log.info('engine.thawed-late', { vmId, wasFrozen });
        return;
      }
    }
  }
}

function unlessBusy(error: unknown): undefined {
  if (!isFault(error, 'engine.vm-busy')) {
    throw error;
  }
}
