import { Injectable } from '@nestjs/common';
import type { PointCatalog } from '../catalog/point-catalog.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { CollectOptions } from '../vault/collect/collect-options.ts';
import { collectVault } from '../vault/collect/collector.ts';
import { measureVault } from '../vault/collect/plans/point-usage.ts';
import { estimatePrune } from '../vault/collect/plans/prune-estimate.ts';
import { planPrune } from '../vault/collect/plans/prune-plan.ts';
import { onVault, type Running, type UpkeepRequest } from './upkeep-work.ts';

export interface PruneRequest extends UpkeepRequest {
  /** Only returns what would be done. */
  readonly dryRun: boolean;
  readonly rules: Pick<
    CollectOptions,
    | 'youngMs'
    | 'graceMs'
    | 'liveShare'
    | 'rewriteBytes'
    | 'gonePoints'
    | 'goneObjects'
    | 'allPointsAreListed'
  >;
}

/** Measures what vaults hold, and frees the space of what was given up. */
@Injectable()
export class VaultSpace {
  constructor(
    private readonly vaults: Pick<RegisteredVaults, 'openApart'>,
    private readonly points: Pick<PointCatalog, 'list'>,
  ) {}

  /**
   * Measures what points take and would free, ratios, and growth. @throws Fault
   * `vault.collect-unsure`
   */
  async measure(request: UpkeepRequest, running: Running): Promise<object> {
    return onVault(this.vaults, request, running, async ({ vault }) => ({
      result: { kind: 'usage', usage: await measureVault(vault.inside, running) },
    }));
  }

  /**
   * Plans a collection, or carries one out. Other collections may run anywhere at the same time;
   * the next one continues an interrupted one.
   * @throws Fault `vault.collect-unsure`, `vault.list-incomplete`, `vault.points-missing`,
   *   `vault.collect-unproven`: nothing was removed then
   */
  async prune(
    { dryRun, rules: asked, ...request }: PruneRequest,
    running: Running,
  ): Promise<object> {
    const catalogued = await this.points.list({ vaultId: request.vaultId });
    // The vault's own lists are not enough to be believed.
    const knownPoints = catalogued.map(({ point: { vmId, id } }) => ({ vmId, id }));
    const rules = { ...asked, knownPoints };
    return onVault(this.vaults, request, running, async ({ vault, store }, spending) => {
      if (!dryRun) {
        return {
          result: { kind: 'prune', report: await collectVault(vault.inside, rules, running) },
        };
      }
      const plan = await planPrune(vault.inside, [], rules, running);
      const cost = spending.costOf(estimatePrune(plan), store.location);
      return { result: { kind: 'prune', plan, ...(cost === undefined ? {} : { cost }) } };
    });
  }
}
