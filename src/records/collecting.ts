import { Injectable } from '@nestjs/common';
import type { CollectorRows, RecordedPoint } from '../catalog/collector-rows.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { Clock } from '../kernel/clock.ts';
import { isFault } from '../kernel/fault.ts';
import type { HostIdentity } from '../kernel/host-identity.ts';
import type { Log } from '../kernel/log.ts';
import { Spending } from '../vault/budget/spending.ts';
import { ServiceRecords } from '../vault/records/service-records.ts';
import { retirePoints } from '../vault/retention/retiring.ts';
import type { VaultInside } from '../vault/vault-inside.ts';
import { compareWithVault, recordKey } from './first-sight.ts';
import { judge, type Floors, type KeptBecause } from './floors.ts';
import { isItsOwn, orderKey, readOrders, type Order } from './orders.ts';
import { storeTime } from './store-time.ts';

export interface CollectingParts {
  readonly vaults: Pick<RegisteredVaults, 'openApart'>;
  readonly rows: CollectorRows;
  readonly host: Pick<HostIdentity, 'id' | 'name'>;
  readonly floors: Floors;
  /** Opens the separate retention keys of the vaults. */
  readonly retentionPassphrase?: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Why an order was not carried out. */
type Refusal = KeptBecause | 'not-its-own' | 'held' | 'being-read';

export interface CollectorLook {
  readonly vaultId: string;
  /** By the clock of the store where it has one. */
  readonly atMs: number;
  readonly points: number;
  readonly givenUp: readonly Pick<Order, 'vmId' | 'id' | 'service'>[];
  /** How many orders were not carried out, by reason. */
  readonly refused: Readonly<Partial<Record<Refusal, number>>>;
  /** VMs of which nothing is given up until a person says so. */
  readonly vmsInDoubt: readonly string[];
  /** Services that showed an older state than before. */
  readonly wentBack: readonly string[];
}

const DAY_MS = 86_400_000;
/** How long given up points are remembered. */
const REMEMBERED_MS = 30 * DAY_MS;

/**
 * A collector on a machine of its own: reads what services decided, and gives up what its own
 * floors allow. Believes nothing that a writer says.
 */
@Injectable()
export class Collecting {
  constructor(private readonly parts: CollectingParts) {}

  /** @throws Fault `collector.clock-disagrees`: nothing was given up */
  async look(vaultId: string, signal: AbortSignal): Promise<CollectorLook> {
    const { vaults, rows, host, retentionPassphrase, clock, log } = this.parts;
    const options = { spending: new Spending(), role: 'collector', retentionPassphrase } as const;
    await using opened = await vaults.openApart(vaultId, options, signal);
    const { inside } = opened.vault;
    const records = new ServiceRecords(inside.base, log);
    const nowMs = await storeTime(records, { service: host.id, name: host.name }, clock, signal);
    const before = await rows.points(vaultId);
    const { points, standing } = await compareWithVault(inside, before, { vaultId, nowMs }, signal);
    await rows.put(points);
    await rows.forgetGivenUp(vaultId, nowMs - REMEMBERED_MS);
    const { orders, wentBack } = await readOrders(records, rows, vaultId, signal);
    const refused: Partial<Record<Refusal, number>> = {};
    const refuse = (why: Refusal): void => {
      refused[why] = (refused[why] ?? 0) + 1;
    };
    const known = new Map(points.map((point) => [recordKey(point), point]));
    const own = orders.filter((order) => {
      const point = known.get(orderKey(order));
      const isOwn = point === undefined || isItsOwn(order, point);
      if (!isOwn) {
        refuse('not-its-own');
      }
      return isOwn;
    });
    const seen = points.map((point) => ({
      ...{ vmId: point.vmId, id: point.pointId, sinceMs: point.sinceMs },
      isStanding: standing.has(recordKey(point)),
      isInDoubt: point.inDoubtMs !== null,
      givenUpAtMs: point.givenUpMs ?? undefined,
    }));
    const { giveUp, kept } = judge(seen, own, this.parts.floors, nowMs);
    for (const { because } of kept) {
      refuse(because);
    }
    const givenUp = await this.giveUp(inside, { giveUp, known, nowMs, refuse }, signal);
    const vmsInDoubt = [...new Set(seen.filter((one) => one.isInDoubt).map(({ vmId }) => vmId))];
    const look = { vaultId, atMs: nowMs, points: standing.size, refused, vmsInDoubt, wentBack };
    const whole = {
      ...look,
      givenUp: givenUp.map(({ vmId, id, service }) => ({ vmId, id, service })),
    };
    this.tell(whole);
    return whole;
  }

  private tell(look: CollectorLook): void {
    const { log } = this.parts;
    if (look.vmsInDoubt.length > 0) {
      log.error('collector.in-doubt', { vaultId: look.vaultId, vms: look.vmsInDoubt });
    }
    if (look.wentBack.length > 0) {
      log.error('collector.went-back', { vaultId: look.vaultId, services: look.wentBack });
    }
    log.info('collector.looked', { ...look });
  }

  /** Gives up one after another: what is held or read meanwhile costs only itself. */
  private async giveUp(
    inside: VaultInside,
    given: {
      readonly giveUp: readonly Order[];
      readonly known: ReadonlyMap<string, RecordedPoint>;
      readonly nowMs: number;
      readonly refuse: (why: Refusal) => void;
    },
    signal: AbortSignal,
  ): Promise<Order[]> {
    const done: Order[] = [];
    for (const order of given.giveUp) {
      const point = given.known.get(orderKey(order));
      if (point === undefined) {
        continue;
      }
      // Counted first: a kill after the next line must not let more go today.
      await this.parts.rows.put([{ ...point, givenUpMs: given.nowMs }]);
      try {
        await retirePoints(inside, [{ vmId: order.vmId, id: order.id }], { signal });
        done.push(order);
      } catch (error) {
        await this.parts.rows.put([point]);
        const isHeld = isFault(error, 'vault.point-held');
        if (!isHeld && !isFault(error, 'vault.point-being-read')) {
          throw error;
        }
        given.refuse(isHeld ? 'held' : 'being-read');
      }
    }
    return done;
  }
}
