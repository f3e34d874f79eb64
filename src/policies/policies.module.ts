import { Module, type DynamicModule } from '@nestjs/common';
import { CatalogAge } from '../catalog/catalog-age.ts';
import { NewestPoints } from '../catalog/newest-points.ts';
import { PolicyRows } from '../catalog/policy-rows.ts';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { InventoryModule } from '../inventory/inventory.module.ts';
import { KnownVms } from '../inventory/known-vms.ts';
import { Clock } from '../kernel/clock.ts';
import { Log } from '../kernel/log.ts';
import type { SelectableVm } from './document/selector.ts';
import { Policies, type PolicySettings } from './policies.service.ts';
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
          inject: [PolicyRows, RegisteredVaults, KnownVms, Clock, Log],
          useFactory: (
            rows: PolicyRows,
            vaults: RegisteredVaults,
            ...[known, clock, log]: [KnownVms, Clock, Log]
          ) => new Policies({ rows, vaults, vms: vmsOf(known), clock, log }, settings),
        },
        {
          provide: Protection,
          inject: [Policies, KnownVms, RegisteredVaults, NewestPoints, CatalogAge, Clock],
          useFactory: (
            policies: Policies,
            known: KnownVms,
            ...[vaults, points, age, clock]: [RegisteredVaults, NewestPoints, CatalogAge, Clock]
          ) => new Protection({ policies, vms: vmsOf(known), vaults, points, age, clock }),
        },
      ],
      exports: [Policies, Protection],
    };
  }
}

/** The VMs that policies choose from. */
function vmsOf(known: KnownVms): (signal: AbortSignal) => Promise<SelectableVm[]> {
  return async (signal) =>
    (await known.remembered(signal)).map(({ id, name, tags }) => ({ id, name, tags }));
}

/** Those of this host: jobs on a VM run nowhere else. */
export function ownVmsOf(known: KnownVms): (signal: AbortSignal) => Promise<SelectableVm[]> {
  return async (signal) => {
    const own = (await known.remembered(signal)).filter(({ host }) => host.isThis);
    return own.map(({ id, name, tags }) => ({ id, name, tags }));
  };
}
