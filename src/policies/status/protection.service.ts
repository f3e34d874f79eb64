import type { CatalogAge, UnknownRuns } from '../../catalog/catalog-age.ts';
import type { NewestPoints } from '../../catalog/newest-points.ts';
import type { PolicySets } from '../../catalog/policy-sets.ts';
import type { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { SelectableVm } from '../document/selector.ts';
import type { HostedVm } from '../hosted-vm.ts';
import {
  isReadable,
  isUnreadable,
  type KnownPolicy,
  type PolicyInForce,
  type UnreadablePolicy,
} from '../known-policy.ts';
import { latestComplete, type PointSet } from '../../vault/retention/point-sets.ts';
import { AHEAD_MS_MAX } from '../retention/retention-plan.ts';
import { guardedVms, protectionOf, type VmProtection } from './protection.ts';

export interface ProtectionSources {
  readonly policies: { list(): Promise<PolicyInForce[]> };
  readonly vms: (signal: AbortSignal) => Promise<HostedVm[]>;
  readonly vaults: Pick<RegisteredVaults, 'list'>;
  readonly points: Pick<NewestPoints, 'of'>;
  readonly sets: Pick<PolicySets, 'newest'>;
  readonly age: Pick<CatalogAge, 'unknownRuns'>;
  readonly clock: Clock;
}

/** How well VMs are protected, and what says nothing about it. */
export interface ProtectionNow {
  readonly atMs: number;
  readonly vms: readonly VmProtection[];
  readonly unreadable: readonly UnreadablePolicy[];
  /** Because of them no schedule fires. */
  readonly unknownRuns: UnknownRuns | undefined;
}

/** Answers for every VM whether it is protected. */
export class Protection {
  constructor(private readonly sources: ProtectionSources) {}

  /**
   * Returns how well each VM is protected now, in the order of the VMs, and the policies that
   * protect nothing because they cannot be read.
   */
  async now(signal: AbortSignal): Promise<ProtectionNow> {
    const { policies, vms, vaults, points, clock } = this.sources;
    const all = await policies.list();
    const guarded = guardedVms(all.filter(isReadable), await vms(signal));
    const ids = new Map((await vaults.list()).map(({ name, id }) => [name, id]));
    const pairs = new Map<string, { readonly vmId: string; readonly vaultId: string }>();
    for (const { vm, policies: own } of guarded) {
      for (const { document } of own) {
        const vaultId = ids.get(document.vault);
        if (vaultId !== undefined) {
          pairs.set(keyOf(vm.id, vaultId), { vmId: vm.id, vaultId });
        }
      }
    }
    const nowMs = clock.nowMs();
    const newest = new Map(
      (await points.of([...pairs.values()], nowMs + AHEAD_MS_MAX)).map((point) => [
        keyOf(point.vmId, point.vaultId),
        { pointId: point.pointId, takenAtMs: point.takenAtMs },
      ]),
    );
    const newestOf = (vmId: string, vaultId: string) => newest.get(keyOf(vmId, vaultId));
    return {
      atMs: nowMs,
      vms: protectionOf(guarded, {
        ...{ nowMs, vaults: ids, newestOf },
        problems: await this.setProblems(all.filter(isReadable), ids),
      }),
      unreadable: all.filter(isUnreadable),
      unknownRuns: await this.sources.age.unknownRuns(),
    };
  }

  /** Returns what is wrong with the newest set of each policy with a group, by its name. */
  private async setProblems(
    policies: readonly KnownPolicy[],
    vaults: ReadonlyMap<string, string>,
  ): Promise<ReadonlyMap<string, string>> {
    const problems = new Map<string, string>();
    for (const { name, document } of policies) {
      const vaultId = vaults.get(document.vault);
      if (document.group !== undefined && vaultId !== undefined) {
        const sets = await this.sources.sets.newest(name, vaultId);
        const problem = setProblem(sets);
        if (problem !== undefined) {
          problems.set(name, problem);
        }
      }
    }
    return problems;
  }

  /** Returns the names of the policies of each of these VMs, by its id. */
  async policiesByVm(
    vms: readonly SelectableVm[],
  ): Promise<ReadonlyMap<string, readonly string[]>> {
    const policies = (await this.sources.policies.list()).filter(isReadable);
    const guarded = guardedVms(policies, vms);
    return new Map(guarded.map(({ vm, policies: own }) => [vm.id, own.map(({ name }) => name)]));
  }
}

function setProblem(sets: readonly PointSet[]): string | undefined {
  const newest = sets.at(-1);
  if (newest === undefined || newest.isComplete) {
    return undefined;
  }
  const complete = latestComplete(sets);
  const whole =
    complete === undefined
      ? 'none is complete'
      : `the latest complete one is of ${new Date(complete.takenAtMs).toISOString()}`;
  const { members, missing } = newest;
  return `newest set incomplete (${String(members.length - missing.length)} of ${String(members.length)} VMs), ${whole}`;
}

function keyOf(vmId: string, vaultId: string): string {
  return `${vmId} ${vaultId}`;
}
