import { randomUUID } from 'node:crypto';
import type { EndedRun, Firing, RunChange, StoredRun } from '../../catalog/run-rows.ts';
import { selectVms } from '../document/selector.ts';
import type { HostedVm } from '../hosted-vm.ts';
import type { KnownPolicy } from '../known-policy.ts';
import { dueTimes, earliestStart, type DueTimes } from '../schedule/due-times.ts';
import { isHeld } from './after-attempt.ts';
import { refusalOf } from './group-refusal.ts';
import { jitterMs } from '../schedule/fire-times.ts';

/** What a policy finds when it fires. */
export interface FiringFacts {
  readonly due: DueTimes;
  readonly nowMs: number;
  readonly vms: readonly HostedVm[];
  /** Runs of this policy that have not ended. */
  readonly unfinished: readonly StoredRun[];
}

/** Returns what the schedule of a policy asks for now. */
export function dueOf({ document, horizonMs }: KnownPolicy, nowMs: number): DueTimes {
  return dueTimes(document.schedule, horizonMs, nowMs);
}

/** True if a look found something to write down. */
export function isDue({ run, missed, notBeforeMs }: DueTimes): boolean {
  return run !== undefined || missed.length > 0 || notBeforeMs !== undefined;
}

/**
 * Returns the rows of the fire times that are due.
 *
 * A run that has begun, or still waits for room, goes on, and the new one is skipped: starting anew
 * would never end if a backup takes longer than the schedule's distance. A run that waits for
 * another attempt, or for a VM that somebody else has, ends instead: the new one is that attempt.
 * So does one on a host that no longer has the VM.
 */
export function firing(policy: KnownPolicy, facts: FiringFacts): Firing {
  const { due, nowMs } = facts;
  const isGroup = policy.document.group !== undefined;
  const ended = new Map<string, EndedRun>();
  const runs: StoredRun[] = [];
  const vms = selectVms(policy.document, facts.vms);
  const refusal = refusalOf(policy, vms);
  for (const vm of vms) {
    for (const fireAtMs of due.missed) {
      runs.push({ ...runOf(policy, vm, fireAtMs), state: 'skipped', why: 'missed' });
    }
    if (due.run !== undefined) {
      // The VMs of a group have one moment, so what one of them waits for holds all.
      const open = facts.unfinished.filter(({ vmId }) => isGroup || vmId === vm.id);
      const run = { ...newRun(policy, runOf(policy, vm, due.run), { open, nowMs }), ...refusal };
      runs.push(run);
      for (const before of run.state === 'due' ? open : []) {
        ended.set(before.id, { run: before, change: endOf(before, run) });
      }
    }
  }
  return {
    ...{ policyId: policy.id, fromMs: policy.horizonMs, horizonMs: due.horizonMs, runs },
    ended: [...ended.values()],
  };
}

function newRun(
  policy: KnownPolicy,
  run: StoredRun,
  { open, nowMs }: { readonly open: readonly StoredRun[]; readonly nowMs: number },
): StoredRun {
  const going = open.find((each) => each.hostId === run.hostId && !waitsForRetry(each));
  return going === undefined
    ? { ...run, nextTryAtMs: startOf(policy, run, nowMs) }
    : { ...run, state: 'skipped', why: whyOf(going) };
}

function waitsForRetry(run: StoredRun): boolean {
  return run.state === 'due' && (run.attempt > 0 || isHeld(run));
}

/** What the next run makes of one that waits. */
function endOf(run: StoredRun, { hostId }: StoredRun): RunChange {
  if (run.hostId !== hostId) {
    const state = run.attempt === 0 ? 'skipped' : 'failed';
    return { state, why: 'the VM is on another host now' };
  }
  return isHeld(run)
    ? { state: 'skipped', why: 'superseded' }
    : { state: 'failed', why: 'the next run is due' };
}

function whyOf({ state }: StoredRun): string {
  return state === 'due' ? 'still waiting' : 'still running';
}

function startOf({ document }: KnownPolicy, run: StoredRun, nowMs: number): number {
  const { schedule, group } = document;
  const starting = group === undefined ? run : { ...run, vmId: '' };
  return Math.max(run.fireAtMs + jitterMs(schedule, starting), earliestStart(schedule, nowMs));
}

/** Returns a new run that may start at its fire time. */
export function runOf(policy: KnownPolicy, vm: HostedVm, fireAtMs: number): StoredRun {
  return {
    id: randomUUID(),
    policyId: policy.id,
    policyName: policy.name,
    revision: policy.revision,
    vmId: vm.id,
    vmName: vm.name,
    hostId: vm.host.id,
    fireAtMs,
    state: 'due',
    why: null,
    attempt: 0,
    nextTryAtMs: fireAtMs,
    jobId: null,
    fault: null,
    pointId: null,
    vaultId: null,
    actor: null,
  };
}
