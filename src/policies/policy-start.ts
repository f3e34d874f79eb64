import type { RunRows, StoredRun } from '../catalog/run-rows.ts';
import { currentActor } from '../kernel/actor.ts';
import { selectVms } from './document/selector.ts';
import type { HostedVm } from './hosted-vm.ts';
import type { KnownPolicy } from './known-policy.ts';
import { runOf } from './runs/firing.ts';
import { refusalOf } from './runs/group-refusal.ts';
import type { SchedulingClock } from './runs/scheduling-clock.ts';

/** What became of one VM of a policy that was started by hand. */
export interface StartedVm {
  readonly run: StoredRun;
  /** Whether it is a run that had not ended before, so that there is no new one. */
  readonly isOpen: boolean;
}

export interface PolicyStartParts {
  readonly rows: Pick<RunRows, 'add'>;
  readonly vms: (signal: AbortSignal) => Promise<HostedVm[]>;
  readonly clock: Pick<SchedulingClock, 'nowMs'>;
  /** Called when there are new runs. */
  readonly onRuns: () => void;
}

/** Fires policies now, whatever their schedules say. */
export class PolicyStart {
  constructor(private readonly parts: PolicyStartParts) {}

  /**
   * Makes a run of each VM that has none, also while the policy is paused. A group that has any
   * goes on with those: its VMs have one moment.
   */
  async now(policy: KnownPolicy, signal: AbortSignal): Promise<StartedVm[]> {
    const vms = selectVms(policy.document, await this.parts.vms(signal));
    const refusal = refusalOf(policy, vms);
    const actor = currentActor();
    let started: StartedVm[] = [];
    await this.parts.rows.add(policy.id, (unfinished) => {
      const nowMs = this.parts.clock.nowMs();
      const isGoing = policy.document.group !== undefined && unfinished.length > 0;
      started = vms.flatMap((vm): StartedVm[] => {
        const open = unfinished.find(({ vmId }) => vmId === vm.id);
        if (open !== undefined) {
          return [{ run: open, isOpen: true }];
        }
        const run = { ...runOf(policy, vm, nowMs), actor, ...refusal };
        return isGoing ? [] : [{ run, isOpen: false }];
      });
      return started.filter(({ isOpen }) => !isOpen).map(({ run }) => run);
    });
    this.parts.onRuns();
    return started;
  }
}
