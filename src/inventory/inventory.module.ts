import { Module, type BeforeApplicationShutdown } from '@nestjs/common';
import { InventoryRows } from '../catalog/inventory-rows.ts';
import { JobRows } from '../catalog/jobs/job-rows.ts';
import { Engine } from '../engines/engine.ts';
import { inspectImage } from '../formats/image-inspection.ts';
import { Clock } from '../kernel/clock.ts';
import { HostIdentity } from '../kernel/host-identity.ts';
import { Log } from '../kernel/log.ts';
import { Discovery } from './discovery.ts';
import { Hosts } from './hosts.ts';
import { InventoryService } from './inventory.service.ts';
import { KnownVms } from './known-vms.ts';

/** The VMs of this host, and the memory of those of all hosts. */
@Module({
  providers: [
    {
      provide: InventoryService,
      inject: [Engine, KnownVms],
      useFactory: (engine: Engine, known: KnownVms) =>
        new InventoryService(
          engine,
          async ({ path, format }, signal) =>
            (await inspectImage(path, format, signal)).virtualSize,
          async (idOrName, signal) => known.onOtherHost(idOrName, signal),
        ),
    },
    {
      provide: KnownVms,
      inject: [Engine, InventoryRows, HostIdentity, Clock, Log],
      useFactory: (
        engine: Engine,
        rows: InventoryRows,
        ...[host, clock, log]: [HostIdentity, Clock, Log]
      ) => new KnownVms({ engine, rows, host, clock, log }),
    },
    {
      provide: Hosts,
      inject: [KnownVms, InventoryRows, JobRows, Clock, Log],
      useFactory: (
        known: KnownVms,
        rows: InventoryRows,
        ...[jobs, clock, log]: [JobRows, Clock, Log]
      ) => new Hosts({ known, rows, jobs, clock, log }),
    },
    {
      provide: Discovery,
      inject: [KnownVms, Log],
      useFactory: (vms: KnownVms, log: Log) => new Discovery(vms, log),
    },
  ],
  exports: [Discovery, Hosts, InventoryService, KnownVms],
})
export class InventoryModule implements BeforeApplicationShutdown {
  constructor(private readonly discovery: Discovery) {}

  async beforeApplicationShutdown(): Promise<void> {
    await this.discovery[Symbol.asyncDispose]();
  }
}
