import { Module, type DynamicModule } from '@nestjs/common';
import { CareRevisions } from '../catalog/care/care-revisions.ts';
import { CatalogAge } from '../catalog/catalog-age.ts';
import { NewestPoints } from '../catalog/newest-points.ts';
import { PolicySets } from '../catalog/policy-sets.ts';
import { PolicyRows } from '../catalog/policy-rows.ts';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { InventoryModule } from '../inventory/inventory.module.ts';
import { KnownVms } from '../inventory/known-vms.ts';
import { Clock } from '../kernel/clock.ts';
import { Log } from '../kernel/log.ts';
import { hostedVms } from './hosted-vm.ts';
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
          inject: [PolicyRows, CareRevisions, RegisteredVaults, KnownVms, Clock, Log],
          useFactory: (
            rows: PolicyRows,
            care: CareRevisions,
            ...[vaults, known, clock, log]: [RegisteredVaults, KnownVms, Clock, Log]
          ) => new Policies({ rows, care, vaults, vms: hostedVms(known), clock, log }, settings),
        },
        {
          provide: Protection,
          inject: [
            ...[Policies, KnownVms, RegisteredVaults, NewestPoints, PolicySets],
            ...[CatalogAge, Clock],
          ],
          useFactory: (
            policies: Policies,
            known: KnownVms,
            ...[vaults, points, sets, age, clock]: [
              ...[RegisteredVaults, NewestPoints, PolicySets],
              ...[CatalogAge, Clock],
            ]
          ) =>
            new Protection({ policies, vms: hostedVms(known), vaults, points, sets, age, clock }),
        },
      ],
      exports: [Policies, Protection],
    };
  }
}
