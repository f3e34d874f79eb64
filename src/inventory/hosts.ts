import type { InventoryRows } from '../catalog/inventory-rows.ts';
import type { JobRows } from '../catalog/jobs/job-rows.ts';
import { cancelledAt } from '../jobs/job-outcome.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { findNamed } from '../kernel/text/by-prefix.ts';
import type { KnownVm, KnownVms, VmHost } from './known-vms.ts';

/** A host that uses the database, or did. */
export interface KnownHost extends VmHost {
  readonly vms: readonly Pick<KnownVm, 'id' | 'name' | 'tags'>[];
  /** VMs that it had once. */
  readonly goneVms: number;
}

export interface HostsParts {
  readonly known: Pick<KnownVms, 'hosts' | 'everything'>;
  readonly rows: Pick<InventoryRows, 'forgetHost'>;
  readonly jobs: Pick<JobRows, 'endQueuedOf'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** The hosts that share the database. */
export class Hosts {
  constructor(private readonly parts: HostsParts) {}

  /** Lists them by name. */
  async list(): Promise<KnownHost[]> {
    const { known } = this.parts;
    const vms = await known.everything();
    return (await known.hosts()).map((host) => {
      const own = vms.filter((vm) => vm.host.id === host.id);
      const there = own.filter(({ goneAtMs }) => goneAtMs === undefined);
      return { ...host, vms: there, goneVms: own.length - there.length };
    });
  }

  /**
   * Removes a host that nobody has heard of for a while, with what is remembered of its VMs; their
   * recovery points stay. Its runs that have not ended are skipped.
   *
   * @throws Fault `host.unknown`, `host.in-use`, `request.invalid` if several are meant
   */
  async forget(idOrName: string, options: { readonly dryRun: boolean }): Promise<KnownHost> {
    const host = findNamed(await this.list(), idOrName);
    if (host === undefined) {
      throw new Fault(
        'host.unknown',
        `There is no host ${idOrName}; host list shows those there are.`,
        { host: idOrName },
      );
    }
    if (!host.isLate) {
      const which = host.isThis ? 'is the one that you ask' : 'was seen a moment ago';
      throw new Fault(
        'host.in-use',
        `The host ${host.name} ${which}. Nothing was forgotten. Stop its service for good, and ask the service of another host after two minutes.`,
        { host: host.name },
      );
    }
    const { rows, jobs, clock, log } = this.parts;
    if (!options.dryRun) {
      const isForgotten = await rows.forgetHost(host, async (transaction) =>
        jobs.endQueuedOf(transaction, host.id, cancelledAt(clock.nowMs())),
      );
      if (!isForgotten) {
        throw new Fault('host.in-use', `The host ${host.name} is back. Nothing was forgotten.`, {
          host: host.name,
        });
      }
      log.info('host.forgotten', { hostId: host.id, host: host.name, vms: host.vms.length });
    }
    return host;
  }
}
