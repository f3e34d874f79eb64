import type { CatalogAge, UnknownRuns } from '../../catalog/catalog-age.ts';
import type { NewestPoints } from '../../catalog/newest-points.ts';
import type { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { SelectableVm } from '../document/selector.ts';
import type { HostedVm } from '../hosted-vm.ts';
import {
  isReadable,
  isUnreadable,
  type PolicyInForce,
  type UnreadablePolicy,
} from '../known-policy.ts';
import { guardedVms, protectionOf, type VmProtection } from './protection.ts';

/** How far ahead the clock of another host may be. */
const AHEAD_MS_MAX = 5 * 60_000;

export interface ProtectionSources {
  readonly policies: { list(): Promise<PolicyInForce[]> };
  readonly vms: (signal: AbortSignal) => Promise<HostedVm[]>;
  readonly vaults: Pick<RegisteredVaults, 'list'>;
  readonly points: Pick<NewestPoints, 'of'>;
  readonly age: Pick<CatalogAge, 'unknownRuns'>;
  readonly clock: Clock;
}

/** How well VMs are protected, and what says nothing about it. */
export interface ProtectionNow {
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
      vms: protectionOf(guarded, { nowMs, vaults: ids, newestOf }),
      unreadable: all.filter(isUnreadable),
      unknownRuns: await this.sources.age.unknownRuns(),
    };
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

function keyOf(vmId: string, vaultId: string): string {
  return `${vmId} ${vaultId}`;
}
