import type { PointCatalog } from '../../../catalog/point-catalog.ts';
import type { RegisteredVaults } from '../../../catalog/registered-vaults.ts';
import type { RetentionRows } from '../../../catalog/retention-rows.ts';
import { currentActor } from '../../../kernel/actor.ts';
import { Fault } from '../../../kernel/fault.ts';
import type { Running } from '../../../kernel/progress.ts';
import type { KnownPolicy } from '../../known-policy.ts';
import type { SchedulingClock } from '../../runs/scheduling-clock.ts';
import type { RetentionReport } from './retention-report.ts';
import type { Retention } from './retention.service.ts';

export interface PointKeepingParts {
  readonly policies: { read(name: string): Promise<KnownPolicy> };
  readonly vaults: Pick<RegisteredVaults, 'choose'>;
  readonly points: Pick<PointCatalog, 'list'>;
  readonly rows: Pick<RetentionRows, 'carry' | 'adopt'>;
  readonly retention: Pick<Retention, 'decide'>;
  readonly clock: Pick<SchedulingClock, 'nowMs'>;
}

/** A person says that a policy gives up what it names. */
export interface RetireRequest {
  readonly policy: string;
  /** Only says what would be given up. */
  readonly dryRun: boolean;
  /** Points that are gone for good. */
  readonly gone: readonly string[];
}

/** A point that a policy gets, and whose it is by now. */
export interface AdoptedPoint {
  readonly pointId: string;
  readonly vmName: string;
  readonly takenAtMs: number;
}

/** What people decide about keeping points. */
export class PointKeeping {
  constructor(private readonly parts: PointKeepingParts) {}

  /**
   * Says what a policy gives up now; without `dryRun` also has its newest revision carried out, and
   * gives up.
   * @throws Fault `policy.unknown`, `policy.unreadable`, and what `Retention.decide` throws
   */
  async retire(
    { policy: name, dryRun, gone }: RetireRequest,
    running: Running,
  ): Promise<RetentionReport & { readonly vaultName: string }> {
    const { policies, vaults, rows, retention, clock } = this.parts;
    const policy = await policies.read(name);
    const vault = await vaults.choose(policy.document.vault);
    if (!dryRun) {
      const by = { author: currentActor(), atMs: clock.nowMs() };
      await rows.carry(policy, vault.id, by);
    }
    const request = { vaultId: vault.id, dryRun, policy: name, gone };
    return { ...(await retention.decide(request, running)), vaultName: vault.name };
  }

  /**
   * Gives points to a policy, which then decides about them; without `dryRun` for good.
   * @throws Fault `policy.unknown`, `policy.unreadable`, `point.unknown`
   */
  async adopt(name: string, pointIds: readonly string[], dryRun: boolean): Promise<AdoptedPoint[]> {
    const { policies, vaults, points, rows, clock } = this.parts;
    const policy = await policies.read(name);
    const vault = await vaults.choose(policy.document.vault);
    const all = await points.list({ vaultId: vault.id });
    const found = [...new Set(pointIds)].map((asked) => {
      const matching = all.filter(({ point }) => point.id.startsWith(asked));
      const [only, another] = matching;
      if (only === undefined || another !== undefined) {
        throw new Fault(
          'point.unknown',
          `${matching.length === 0 ? 'No' : 'More than one'} recovery point in the vault ${vault.name} starts with ${asked}. Nothing was changed.`,
          { point: asked },
        );
      }
      return only.point;
    });
    if (!dryRun) {
      const by = { policyName: name, author: currentActor(), atMs: clock.nowMs() };
      await rows.adopt(
        vault.id,
        found.map(({ id }) => id),
        by,
      );
    }
    return found.map(({ id, vmName, takenAtMs }) => ({ pointId: id, vmName, takenAtMs }));
  }
}
