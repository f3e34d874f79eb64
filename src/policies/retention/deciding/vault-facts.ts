import type { CatalogAge } from '../../../catalog/catalog-age.ts';
import type { InventoryRows } from '../../../catalog/inventory-rows.ts';
import type { PointCatalog } from '../../../catalog/point-catalog.ts';
import type { PointProofs } from '../../../catalog/point-proofs.ts';
import type { RetentionRows } from '../../../catalog/retention-rows.ts';
import type { RunRows } from '../../../catalog/run-rows.ts';
import { Fault } from '../../../kernel/fault.ts';
import { pointSets } from '../../../vault/retention/point-sets.ts';
import type { ListedVault } from '../../../vault/retention/listed-vault.ts';
import type { RecoveryPoint } from '../../../vault/points/recovery-point.ts';
import type { Vault } from '../../../vault/vault.ts';
import type { SelectableVm } from '../../document/selector.ts';
import type { PolicyInForce } from '../../known-policy.ts';
import type { SchedulingClock } from '../../runs/scheduling-clock.ts';
import { judgesOf, PointJudges } from '../point-judges.ts';
import type { JudgedPoint, RetentionInput } from '../retention-plan.ts';

/** Object locks and signatures of a store go by its clock. */
const STORE_OFFSET_MS_MAX = 3_600_000;
const IDS_SHOWN = 5;

export interface VaultFactsParts {
  readonly points: Pick<PointCatalog, 'outlines'>;
  readonly proofs: Pick<PointProofs, 'list'>;
  readonly rows: Pick<RetentionRows, 'decisions' | 'owners'>;
  readonly runs: Pick<RunRows, 'extraPoints'>;
  readonly inventory: Pick<InventoryRows, 'hosts'>;
  readonly age: Pick<CatalogAge, 'unknownRuns'>;
  readonly vms: (signal: AbortSignal) => Promise<SelectableVm[]>;
  readonly clock: SchedulingClock;
}

/** What the plan needs of a listing. */
export interface ListedFacts extends Pick<ListedVault, 'held' | 'damaged' | 'readers'> {
  readonly points: readonly Pick<RecoveryPoint, 'id' | 'vmId' | 'takenAtMs' | 'origin'>[];
}

/** What the database knew of a vault before it was listed: the id of each point, with its VM. */
export type KnownPoints = ReadonlyMap<string, string>;

/** Gathers what a decision is made on, and refuses to decide on what does not fit together. */
export class VaultFacts {
  constructor(private readonly parts: VaultFactsParts) {}

  /**
   * @throws Fault `retention.clock-unsure`, `retention.catalog-older` if nobody may decide by this
   *   clock or this database now
   */
  async requireSound(): Promise<void> {
    const problem = await this.parts.clock.problem();
    if (problem !== undefined) {
      throw unsure(problem);
    }
    const unknown = await this.parts.age.unknownRuns();
    if (unknown !== undefined) {
      throw new Fault(
        'retention.catalog-older',
        `The vaults have ${String(unknown.points)} points of runs that the database does not know: it was restored from an older dump. Nothing was given up.`,
        { points: unknown.points },
      );
    }
  }

  /** @throws Fault `retention.clock-unsure` if the store's clock is another one */
  async requireStoreClock(vault: Vault, signal: AbortSignal): Promise<void> {
    const serverMs = await vault.inside.base.store.features?.serverTimeMs(signal);
    // Not the clock of schedules: vaults and locks have the real time.
    const offsetMs = serverMs === undefined ? 0 : vault.inside.clock.nowMs() - serverMs;
    if (Math.abs(offsetMs) > STORE_OFFSET_MS_MAX) {
      const minutes = String(Math.round(offsetMs / 60_000));
      throw unsure(`the clock of this host differs by ${minutes} minutes from that of the store`);
    }
  }

  /** Call it before the vault is listed: a listing that begins later must show these. */
  async known(vaultId: string): Promise<KnownPoints> {
    const catalogued = await this.parts.points.outlines(vaultId);
    const decided = await this.parts.rows.decisions(vaultId);
    return new Map([
      ...decided.map(({ pointId, vmId }) => [pointId, vmId] as const),
      ...catalogued.map(({ id, vmId }) => [id, vmId] as const),
    ]);
  }

  /**
   * Compares a listing with what the database knows.
   *
   * @param gone points of which a person says that they are gone
   * @throws Fault `retention.points-differ` if a point is known and not listed although nobody gave
   *   it up, or is listed and not known although a service of this database took it
   */
  async requireSame(
    vault: Vault,
    listed: ListedVault,
    { known, gone }: { readonly known: KnownPoints; readonly gone: readonly string[] },
    signal: AbortSignal,
  ): Promise<void> {
    const there = new Set([
      ...listed.points.map(({ id }) => id),
      ...listed.damaged.map(({ name }) => name.id),
    ]);
    const missing: string[] = [];
    for (const [id, vmId] of known) {
      if (there.has(id)) {
        continue;
      }
      const isExplained =
        listed.retired.has(id) ||
        gone.includes(id) ||
        (await vault.inside.points.isRetired({ vmId, id }, signal));
      if (!isExplained) {
        missing.push(id);
      }
    }
    if (missing.length > 0) {
      throw differ('are not in the vault although nobody gave them up', missing);
    }
    const services = await this.services();
    const unknown = listed.points.filter(
      ({ id, origin }) => !known.has(id) && services.has(origin?.service ?? ''),
    );
    if (unknown.length > 0) {
      // Those that were sealed while the vault was listed are in the catalog by now.
      const now = await this.known(vault.id);
      const ids = unknown.map(({ id }) => id).filter((id) => !now.has(id));
      if (ids.length > 0) {
        throw differ('are in the vault and the catalog does not know them', ids);
      }
    }
  }

  /** Returns what the plan is made of, but for locks of the store and revisions that wait. */
  async input(
    vault: { readonly id: string; readonly name: string },
    listed: ListedFacts,
    {
      policies,
      blocked: known,
    }: {
      readonly policies: readonly PolicyInForce[];
      readonly blocked: ReadonlyMap<string, string>;
    },
    signal: AbortSignal,
  ): Promise<RetentionInput> {
    const { rows, runs, proofs, clock } = this.parts;
    const judges = new PointJudges({
      vault: vault.name,
      policies,
      vms: await this.parts.vms(signal),
      services: await this.services(),
      owners: await rows.owners(vault.id),
    });
    const proven = new Map(
      (await proofs.list())
        .filter(({ vaultId }) => vaultId === vault.id)
        .map((proof) => [proof.pointId, proof]),
    );
    const extra = await runs.extraPoints(vault.id);
    const blocked = new Map(known);
    for (const { name, why } of listed.damaged) {
      blocked.set(name.vmId, why);
    }
    const points = listed.points.map((point): JudgedPoint => {
      const { damagedAtMs, provenAtMs } = proven.get(point.id) ?? {};
      if (damagedAtMs !== undefined) {
        blocked.set(point.vmId, `a verification found damage in ${point.id}`);
      }
      const reader = listed.readers.get(point.id);
      const group = point.origin?.group;
      return {
        ...{ id: point.id, vmId: point.vmId, takenAtMs: point.takenAtMs },
        isHeld: listed.held.has(point.id),
        proven:
          damagedAtMs !== undefined ? 'damaged' : provenAtMs !== undefined ? 'whole' : 'unknown',
        isExtra: extra.has(point.id),
        judges: judges.of(point),
        ...(reader === undefined ? {} : { reader }),
        ...(group === undefined ? {} : { group }),
      };
    });
    return {
      ...{ points, judges: judgesOf(policies), blocked },
      incompleteGroups: incompleteGroups(listed.points),
      nowMs: clock.nowMs(),
    };
  }

  private async services(): Promise<Set<string>> {
    return new Set((await this.parts.inventory.hosts()).map(({ id }) => id));
  }
}

function unsure(problem: string): Fault {
  return new Fault(
    'retention.clock-unsure',
    `Nobody decides here which points are old: ${problem}. Nothing was given up.`,
  );
}

function differ(how: string, ids: readonly string[]): Fault {
  const shown = ids.slice(0, IDS_SHOWN).join(', ');
  const more = ids.length > IDS_SHOWN ? ` and ${String(ids.length - IDS_SHOWN)} more` : '';
  return new Fault(
    'retention.points-differ',
    `Recovery points ${how}: ${shown}${more}. Nothing was given up.`,
    { points: ids.length },
  );
}

function incompleteGroups(points: ListedFacts['points']): Set<string> {
  const sets = pointSets(points).filter(({ isComplete }) => !isComplete);
  return new Set(sets.map(({ groupId }) => groupId));
}
