import { Injectable } from '@nestjs/common';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { syncIfPossible } from '../catalog/catalogue-points.ts';
import type { VaultApart } from '../catalog/stored-vaults.ts';
import { Fault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { Spending } from '../vault/budget/spending.ts';
import { Holds, type Hold } from '../vault/points/holds.ts';
import type { BeingRead } from '../vault/records/lease-terms.ts';
import { ReadingLeases } from '../vault/records/reading-leases.ts';
import { holdsOn, retiredPoint, retiredPoints } from '../vault/retention/named-points.ts';
import { planRetirement } from '../vault/retention/retirement-plan.ts';
import { retirePoints } from '../vault/retention/retiring.ts';
import { revivePoint } from '../vault/retention/reviving.ts';
import type { RecoveryPoint } from '../vault/points/recovery-point.ts';
import type { PointName } from '../vault/points/retirements.ts';
import type { Vault } from '../vault/vault.ts';
import { onVault, type Running, type UpkeepRequest } from './upkeep-work.ts';

/** Decides how long points are kept: gives them up, holds them, brings them back. */
@Injectable()
export class PointRetention {
  constructor(
    private readonly vaults: Pick<RegisteredVaults, 'openApart' | 'open' | 'sync'>,
    private readonly log: Log,
  ) {}

  /** Returns what giving points up would free. Changes nothing. */
  async plan(
    { pointIds, ...request }: UpkeepRequest & { readonly pointIds: readonly string[] },
    running: Running,
  ): Promise<object> {
    return onVault(this.vaults, request, running, async ({ vault }) => {
      const points = await standing(vault, pointIds, running.signal);
      const plan = await planRetirement(vault.inside, points, running);
      return { result: { kind: 'retirement-plan', plan } };
    });
  }

  /**
   * Gives points up for good; the next prune frees their space. If one is held, gives up none.
   * Skips points that were given up before, so that a request whose answer was lost can be
   * repeated.
   * @throws Fault `vault.point-held`, `vault.retention-key-missing`, `vault.point-not-found`
   */
  async retire(
    vaultId: string,
    pointIds: readonly string[],
    retentionPassphrase: string | undefined,
    signal: AbortSignal,
  ): Promise<PointName[]> {
    await using opened = await this.open(vaultId, retentionPassphrase, signal);
    const points = await standing(opened.vault, pointIds, signal);
    const names = points.map(({ vmId, id }) => ({ vmId, id }));
    await retirePoints(opened.vault.inside, names, { signal });
    await syncIfPossible(this.vaults, vaultId, this.log, signal);
    return names;
  }

  /** Lists points that were given up and that no collection has removed yet. */
  async retired(vaultId: string, signal: AbortSignal): Promise<PointName[]> {
    using held = await this.vaults.open(vaultId, 'collector', signal);
    return await retiredPoints(held.vault.inside, signal);
  }

  /** Brings a point that was given up back as a new one. @throws Fault `vault.point-condemned` */
  async revive(
    { prefix, ...request }: UpkeepRequest & { readonly prefix: string },
    running: Running,
  ): Promise<object> {
    return onVault(this.vaults, request, running, async ({ vault }) => {
      const point = await retiredPoint(vault.inside, prefix, running.signal);
      running.report({ phase: 'reading its map', doneBytes: 0, totalBytes: 0 });
      const revived = await revivePoint(vault.inside, point, {}, running);
      await syncIfPossible(this.vaults, request.vaultId, this.log, running.signal);
      return { result: { kind: 'revive', pointId: revived.id, revived: point.id } };
    });
  }

  /** Lists the points that somebody reads now, here or on another machine. */
  async beingRead(vaultId: string, signal: AbortSignal): Promise<BeingRead[]> {
    using held = await this.vaults.open(vaultId, 'collector', signal);
    return await new ReadingLeases(held.vault.inside).list(signal);
  }

  async holds(vaultId: string, signal: AbortSignal): Promise<Hold[]> {
    using held = await this.vaults.open(vaultId, 'collector', signal);
    const { base, log } = held.vault.inside;
    return await new Holds(base, log).list(signal);
  }

  /**
   * Holds a point: nobody can give it up until the hold is released. @throws Fault
   * `vault.point-retired`
   */
  async hold(vaultId: string, pointId: string, reason: string, signal: AbortSignal): Promise<Hold> {
    using held = await this.vaults.open(vaultId, 'collector', signal);
    const { vault } = held;
    const [point] = await pointsOf(vault, [pointId], signal);
    const { base, points, log, clock } = vault.inside;
    const why = { reason, atMs: clock.nowMs() };
    const name = { vmId: point?.vmId ?? '', id: pointId };
    const hold = await new Holds(base, log).hold(points, name, why, signal);
    await syncIfPossible(this.vaults, vaultId, this.log, signal);
    return hold;
  }

  /** Ends all holds on a point. @throws Fault `point.unknown`, `vault.retention-key-missing` */
  async release(
    vaultId: string,
    prefix: string,
    retentionPassphrase: string | undefined,
    signal: AbortSignal,
  ): Promise<Hold[]> {
    await using opened = await this.open(vaultId, retentionPassphrase, signal);
    const { inside } = opened.vault;
    const ended = await holdsOn(inside, prefix, signal);
    const holds = new Holds(inside.base, inside.log);
    for (const hold of ended) {
      await holds.release(hold, inside.clock.nowMs(), signal);
    }
    await syncIfPossible(this.vaults, vaultId, this.log, signal);
    return ended;
  }

  /** Ends one hold, if it is in force. @throws Fault `vault.retention-key-missing` */
  async releaseHold(
    vaultId: string,
    key: string,
    retentionPassphrase: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    await using opened = await this.open(vaultId, retentionPassphrase, signal);
    const { base, log, clock } = opened.vault.inside;
    const holds = new Holds(base, log);
    const hold = await holds.inForce(key, signal);
    if (hold !== undefined) {
      await holds.release(hold, clock.nowMs(), signal);
      await syncIfPossible(this.vaults, vaultId, this.log, signal);
    }
  }

  private async open(
    vaultId: string,
    retentionPassphrase: string | undefined,
    signal: AbortSignal,
  ): Promise<VaultApart> {
    const options = { spending: new Spending(), retentionPassphrase, role: 'collector' } as const;
    return this.vaults.openApart(vaultId, options, signal);
  }
}

/** Returns the points that were not given up. @throws Fault `vault.point-not-found` */
async function standing(
  vault: Vault,
  pointIds: readonly string[],
  signal: AbortSignal,
): Promise<RecoveryPoint[]> {
  const givenUp = await vault.inside.points.retired(signal);
  const left = pointIds.filter((id) => !givenUp.has(id));
  return pointsOf(vault, left, signal);
}

/** @throws Fault `vault.point-not-found` */
async function pointsOf(
  vault: Vault,
  pointIds: readonly string[],
  signal: AbortSignal,
): Promise<RecoveryPoint[]> {
  const all = new Map((await vault.points(signal)).map((point) => [point.id, point]));
  return [...new Set(pointIds)].map((id) => {
    const point = all.get(id);
    if (point === undefined) {
      throw new Fault(
        'vault.point-not-found',
        `There is no recovery point ${id} in this vault. Nothing was changed; points shows those there are.`,
        { point: id },
      );
    }
    return point;
  });
}
