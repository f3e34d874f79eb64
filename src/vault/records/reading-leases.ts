import type { Clock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { isLongOver, pointsBeingRead, type BeingRead } from './lease-terms.ts';
import { ServiceRecords, type RecordsBase } from './service-records.ts';

export interface LeaseParts {
  readonly base: RecordsBase;
  readonly clock: Clock;
  readonly log: Log;
}

/** What somebody reads now is not given up: who gives up or removes asks here right before. */
export class ReadingLeases {
  readonly #records: ServiceRecords;
  readonly #clock: Clock;

  constructor({ base, clock, log }: LeaseParts) {
    this.#records = new ServiceRecords(base, log);
    this.#clock = clock;
  }

  /** Lists the points under a lease that is in force, anew. */
  async list(signal: AbortSignal): Promise<BeingRead[]> {
    return pointsBeingRead(await this.#records.read(signal), this.#clock.nowMs());
  }

  /** Removes leases that programs which are no services left behind. */
  async sweep(signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.nowMs();
    for (const found of await this.#records.read(signal)) {
      if (found.name.service.startsWith('rescue-') && isLongOver(found, nowMs)) {
        await this.#records.remove(found.name, signal);
      }
    }
  }
}

/** @throws Fault `vault.point-being-read` if one of the points is under a lease */
export function refuseBeingRead(
  points: readonly { readonly vmId: string; readonly id: string }[],
  leases: readonly BeingRead[],
): void {
  for (const { vmId, id } of points) {
    const lease = leases.find((other) => other.vmId === vmId && other.id === id);
    if (lease !== undefined) {
      const until = new Date(lease.untilMs).toISOString();
      throw new Fault(
        'vault.point-being-read',
        `The recovery point ${id} is being read by ${lease.reader} until ${until} at least. Nothing was given up.`,
        { point: id, untilMs: lease.untilMs, service: lease.service },
      );
    }
  }
}
