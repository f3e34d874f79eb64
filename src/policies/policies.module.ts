import { Module, type DynamicModule } from '@nestjs/common';
import { NewestPoints } from '../catalog/newest-points.ts';
import { PolicyRows } from '../catalog/policy-rows.ts';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { InventoryModule } from '../inventory/inventory.module.ts';
import { InventoryService } from '../inventory/inventory.service.ts';
import { Jobs } from '../jobs/jobs.ts';
import { Clock } from '../kernel/clock.ts';
import { Log } from '../kernel/log.ts';
import type { SelectableVm } from './document/selector.ts';
import { Policies, type PolicySettings } from './policies.service.ts';
import { PolicyStart } from './policy-start.ts';
import { Protection } from './status/protection.service.ts';

/** What is protected, and whether it is. */
@Module({})
export class PoliciesModule {
  static with(settings: PolicySettings): DynamicModule {
    return {
      module: PoliciesModule,
      global: true,
      imports: [InventoryModule],
      providers: [
        {
          provide: Policies,
          inject: [PolicyRows, RegisteredVaults, InventoryService, Clock, Log],
          useFactory: (
            rows: PolicyRows,
            vaults: RegisteredVaults,
            ...[inventory, clock, log]: [InventoryService, Clock, Log]
          ) => new Policies({ rows, vaults, vms: vmsOf(inventory), clock, log }, settings),
        },
        {
          provide: Protection,
          inject: [Policies, InventoryService, RegisteredVaults, NewestPoints, Clock],
          useFactory: (
            policies: Policies,
            inventory: InventoryService,
            ...[vaults, points, clock]: [RegisteredVaults, NewestPoints, Clock]
          ) => new Protection({ policies, vms: vmsOf(inventory), vaults, points, clock }),
        },
        {
          provide: PolicyStart,
          inject: [Jobs, RegisteredVaults, InventoryService],
          useFactory: (jobs: Jobs, vaults: RegisteredVaults, inventory: InventoryService) =>
            new PolicyStart({ jobs, vaults, vms: vmsOf(inventory) }),
        },
      ],
      exports: [Policies, Protection, PolicyStart],
    };
  }
}

/** The VMs that policies choose from. */
function vmsOf(inventory: InventoryService): (signal: AbortSignal) => Promise<SelectableVm[]> {
  return async (signal) =>
    (await inventory.list(signal)).map(({ id, name }) => ({ id, name, tags: [] }));
}
