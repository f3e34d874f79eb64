import { durationMs } from '../document/duration.ts';
import type { PolicyDocument } from '../document/policy-document.ts';
import { selectVms, type SelectableVm } from '../document/selector.ts';
import type { HostedVm } from '../hosted-vm.ts';
import type { KnownPolicy } from '../known-policy.ts';
import { RememberedFireTimes } from '../schedule/remembered-fire-times.ts';

/**
 * How well something is protected, the worst last: `ok`; `late`: its newest point is older than
 * the RPO allows, or nobody has heard of its host for a while; `no-point`: there is none; `paused`;
 * `unprotected`: by no policy.
 */
export const PROTECTION_STATES = ['ok', 'late', 'no-point', 'paused', 'unprotected'] as const;
export type ProtectionState = (typeof PROTECTION_STATES)[number];

/** What one policy does for one VM. */
export interface PolicyProtection {
  readonly policy: string;
  readonly vault: string;
  readonly state: Exclude<ProtectionState, 'unprotected'>;
  readonly newest?: { readonly pointId: string; readonly takenAtMs: number };
  /** When it is late, or was; undefined without a point. */
  readonly lateAtMs?: number;
  /** Undefined while it is paused. */
  readonly nextFireAtMs?: number;
  readonly problem?: string;
}

/** How well one VM is protected. */
export interface VmProtection {
  readonly vmId: string;
  readonly vmName: string;
  readonly state: ProtectionState;
  /** Takes its points, and nobody else does. */
  readonly host: HostedVm['host'];
  readonly by: readonly PolicyProtection[];
}

/** What is known beside policies and VMs. */
export interface ProtectionFacts {
  readonly nowMs: number;
  /** Registered vaults: name to id. */
  readonly vaults: ReadonlyMap<string, string>;
  readonly newestOf: (vmId: string, vaultId: string) => PolicyProtection['newest'];
  /** By policy: what else is to be said of it. */
  readonly problems?: ReadonlyMap<string, string>;
}

/** A VM with the policies that protect it. */
export interface GuardedVm<Vm extends SelectableVm> {
  readonly vm: Vm;
  readonly policies: readonly KnownPolicy[];
}

/** Returns each VM that is nobody's twin, with its policies. */
export function guardedVms<Vm extends SelectableVm>(
  policies: readonly KnownPolicy[],
  vms: readonly Vm[],
): GuardedVm<Vm>[] {
  const byVm = new Map<string, KnownPolicy[]>();
  for (const policy of policies) {
    for (const { id } of selectVms(policy.document, vms)) {
      byVm.set(id, [...(byVm.get(id) ?? []), policy]);
    }
  }
  return vms
    .filter(({ purpose }) => purpose === undefined)
    .map((vm) => ({ vm, policies: byVm.get(vm.id) ?? [] }));
}

/** Says how well VMs are protected now. */
export function protectionOf(
  guarded: readonly GuardedVm<HostedVm>[],
  facts: ProtectionFacts,
): VmProtection[] {
  const times = new Map<string, RememberedFireTimes>();
  const timesOf = ({ id, document }: KnownPolicy): RememberedFireTimes => {
    const known = times.get(id) ?? new RememberedFireTimes(document.schedule);
    times.set(id, known);
    return known;
  };
  return guarded.map(({ vm, policies }) => {
    const by = policies.map((policy) => byPolicy(vm, policy, timesOf(policy), facts));
    const { id: vmId, name: vmName, host } = vm;
    const state = stateOf(by);
    return { vmId, vmName, state: state === 'ok' && host.isLate ? 'late' : state, host, by };
  });
}

/** A policy that is paused says nothing as long as another one works. */
function stateOf(by: readonly PolicyProtection[]): ProtectionState {
  if (by.length === 0) {
    return 'unprotected';
  }
  const working = by.filter(({ state }) => state !== 'paused').map(({ state }) => state);
  return PROTECTION_STATES.findLast((state) => working.some((each) => each === state)) ?? 'paused';
}

function byPolicy(
  vm: SelectableVm,
  { document, paused }: KnownPolicy,
  times: RememberedFireTimes,
  facts: ProtectionFacts,
): PolicyProtection {
  const vaultId = facts.vaults.get(document.vault);
  const newest = vaultId === undefined ? undefined : facts.newestOf(vm.id, vaultId);
  const lateAtMs = newest === undefined ? undefined : lateAfter(document, newest.takenAtMs, times);
  const nextFireAtMs = times.next(facts.nowMs);
  const problem = problemOf(document, vaultId, facts);
  const isLate = lateAtMs !== undefined && lateAtMs < facts.nowMs;
  return {
    policy: document.name,
    vault: document.vault,
    state: paused ? 'paused' : newest === undefined ? 'no-point' : isLate ? 'late' : 'ok',
    ...(newest === undefined ? {} : { newest }),
    ...(lateAtMs === undefined ? {} : { lateAtMs }),
    ...(paused || nextFireAtMs === undefined ? {} : { nextFireAtMs }),
    ...(problem === undefined ? {} : { problem }),
  };
}

function problemOf(
  { name, vault }: PolicyDocument,
  vaultId: string | undefined,
  { problems }: ProtectionFacts,
): string | undefined {
  return vaultId === undefined ? `no vault ${vault} is registered` : problems?.get(name);
}

/** Without an RPO a VM is late when two fire times have passed since its newest point. */
function lateAfter(
  { rpo }: PolicyDocument,
  takenAtMs: number,
  times: RememberedFireTimes,
): number | undefined {
  if (rpo !== undefined) {
    return takenAtMs + durationMs(rpo);
  }
  const first = times.next(takenAtMs);
  return first === undefined ? undefined : times.next(first);
}
