import { Injectable } from '@nestjs/common';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { VaultApart } from '../catalog/stored-vaults.ts';
import type { Clock } from '../kernel/clock.ts';
import type { RateLimits } from '../kernel/rates/rate-limits.ts';
import { copyFault, estimateCopy } from '../vault/copy/copy-estimate.ts';
import { CopyPruning } from '../vault/copy/copy-prune.ts';
import { VaultCopy } from '../vault/copy/vault-copy.ts';
import { HeldLease } from '../vault/records/held-lease.ts';
import type { ObjectStore } from '../vault/store/object-store.ts';
import type { StoreAccess, StoreAddress } from '../vault/store/store-access.ts';
import { Vault } from '../vault/vault.ts';
import { onVault, type Running, type UpkeepRequest } from './upkeep-work.ts';

export interface CopyRequest extends UpkeepRequest {
  readonly dryRun: boolean;
  readonly to: StoreAddress;
  readonly rateLimits?: RateLimits | undefined;
  readonly readBack: boolean;
  /** Afterwards removes from the copy what the vault has given up and collected. */
  readonly prune: boolean;
  /** Points of the copy that are gone for good. */
  readonly gonePoints?: readonly string[];
  /** Aliases and holds of the copy that are gone for good. */
  readonly goneObjects?: readonly string[];
}

export interface CopyCollaborators {
  readonly vaults: Pick<RegisteredVaults, 'openApart'>;
  readonly stores: StoreAccess;
  readonly clock: Clock;
}

/** Makes and refreshes copies of vaults at other places. */
@Injectable()
export class VaultCopies {
  constructor(private readonly collaborators: CopyCollaborators) {}

  /**
   * Sends what the copy lacks, or returns what it would send. If it is stopped, the next run goes
   * on.
   */
  async copy(request: CopyRequest, running: Running): Promise<object> {
    const { vaults, stores, clock } = this.collaborators;
    const { to, dryRun, readBack, rateLimits, prune } = request;
    const { signal } = running;
    const startMs = clock.monotonicMs();
    return onVault(vaults, request, running, async (opened, spending) => {
      const { store: source } = opened;
      await using held = new AsyncDisposableStack();
      const target = held.adopt(
        await stores.open(to, running.signal, (store) => spending.meter(store, to.endpoint)),
        (store) => store.close(),
      );
      const copy = new VaultCopy({ source, target, clock, readBack, rateLimits });
      const facts = (): object => ({
        kind: 'copy',
        to: target.location,
        durationMs: clock.monotonicMs() - startMs,
      });
      if (dryRun) {
        const plan = await copy.plan(running);
        const estimate = estimateCopy(plan, { isLimited: rateLimits !== undefined, readBack });
        const costs = [
          spending.costOf(estimate.source, source.location),
          spending.costOf(estimate.target, target.location),
        ].filter((cost) => cost !== undefined);
        // Nothing can be removed from an empty place.
        const isDue = prune && plan.present.objects > 0;
        const pruned = isDue ? await pruneCopy(opened, { target, request }, running) : undefined;
        return { result: { ...facts(), plan, estimate, costs, ...(pruned && { prune: pruned }) } };
      }
      const { inside } = opened.vault;
      const purpose = { purpose: 'a copy', mayBeRetired: true };
      held.use(await HeldLease.take(inside, await copy.lacking(signal), purpose, signal));
      const report = await copy.run(running);
      const fault = copyFault(report);
      if (!prune || fault !== undefined) {
        return { result: { ...facts(), report }, fault };
      }
      const pruned = await pruneCopy(opened, { target, request }, running);
      return { result: { ...facts(), report, prune: pruned } };
    });
  }
}

/**
 * Removes from the copy what the vault has removed, unless a point of the copy needs it.
 * @returns how much
 */
async function pruneCopy(
  { vault, store, cacheFolder }: VaultApart,
  { target, request }: { readonly target: ObjectStore; readonly request: CopyRequest },
  running: Running,
): Promise<object> {
  const { clock, log } = vault.inside;
  const key = { kind: 'master-key', key: vault.exportKey() } as const;
  const options = { clock, log, ...(cacheFolder === undefined ? {} : { cacheFolder }) };
  await using held = new AsyncDisposableStack();
  const copy = held.adopt(await Vault.open(target, key, options, running.signal), (opened) =>
    opened.close(),
  );
  const pruning = new CopyPruning(store, copy.inside, running, request);
  const plan = await pruning.plan();
  if (!request.dryRun) {
    await pruning.run(plan);
  }
  const { points, packs, bytes, keptPacks } = plan;
  return { points: points.length, packs: packs.length, bytes, keptPacks };
}
