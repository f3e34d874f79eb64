import { Injectable, Module, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { Interval } from '@nestjs/schedule';
import { CatalogAge } from '../../../catalog/catalog-age.ts';
import { InventoryRows } from '../../../catalog/inventory-rows.ts';
import { PointCatalog } from '../../../catalog/point-catalog.ts';
import { PointProofs } from '../../../catalog/point-proofs.ts';
import { PolicyRows } from '../../../catalog/policy-rows.ts';
import { RegisteredVaults } from '../../../catalog/registered-vaults.ts';
import { RetentionRows } from '../../../catalog/retention-rows.ts';
import { RunRows } from '../../../catalog/run-rows.ts';
import { InventoryModule } from '../../../inventory/inventory.module.ts';
import { KnownVms } from '../../../inventory/known-vms.ts';
import { Jobs } from '../../../jobs/jobs.ts';
import { vaultNeeds } from '../../../jobs/vault-needs.ts';
import { Log } from '../../../kernel/log.ts';
import { hostedVms } from '../../hosted-vm.ts';
import { Policies } from '../../policies.service.ts';
import { SchedulingClock } from '../../runs/scheduling-clock.ts';
import { HostIdentity } from '../../../kernel/host-identity.ts';
import { PointKeeping } from './point-keeping.ts';
import { PublishedDecisions } from './published-decisions.ts';
import { RetainJob } from './retain.job.ts';
import { RetentionPreview } from './retention-preview.ts';
import { RetentionStatus } from './retention-status.ts';
import { RetentionTrigger } from './retention-trigger.ts';
import { Retention } from './retention.service.ts';
import { RetentionSimulation } from './simulation.service.ts';
import { StandingJudges } from './standing-judges.ts';
import { VaultFacts } from './vault-facts.ts';

/** A decision lists a vault: not more often than this after a run. */
const TICK_MS = 30_000;

/** Only ticks: when it is time stands in the database. */
@Injectable()
class RetentionTicker {
  constructor(private readonly trigger: RetentionTrigger) {}

  @Interval(TICK_MS)
  tick(): void {
    void this.trigger.tick();
  }
}

/** Decides which points are given up. */
@Module({
  imports: [InventoryModule],
  providers: [
    RetentionTicker,
    {
      provide: VaultFacts,
      inject: [
        ...[PointCatalog, PointProofs, RetentionRows, RunRows, InventoryRows],
        ...[CatalogAge, KnownVms, SchedulingClock],
      ],
      useFactory: (
        points: PointCatalog,
        proofs: PointProofs,
        rows: RetentionRows,
        ...[runs, inventory, age, known, clock]: [
          ...[RunRows, InventoryRows],
          ...[CatalogAge, KnownVms, SchedulingClock],
        ]
      ) =>
        new VaultFacts({
          points,
          proofs,
          rows,
          runs,
          inventory,
          age,
          vms: hostedVms(known),
          clock,
        }),
    },
    {
      provide: Retention,
      inject: [
        ...[RegisteredVaults, Policies, VaultFacts, StandingJudges, RetentionRows],
        ...[SchedulingClock, HostIdentity, Log],
      ],
      useFactory: (
        vaults: RegisteredVaults,
        policies: Policies,
        facts: VaultFacts,
        ...[judges, rows, clock, host, log]: [
          ...[StandingJudges, RetentionRows],
          ...[SchedulingClock, HostIdentity, Log],
        ]
      ) => {
        const published = new PublishedDecisions(host.id, log);
        return new Retention({ vaults, policies, facts, judges, rows, published, clock, log });
      },
    },
    {
      provide: RetentionStatus,
      inject: [RetentionRows, RegisteredVaults],
      useFactory: (rows: RetentionRows, vaults: RegisteredVaults) =>
        new RetentionStatus(rows, vaults),
    },
    {
      provide: StandingJudges,
      inject: [PolicyRows, RetentionRows],
      useFactory: (policies: PolicyRows, rows: RetentionRows) =>
        new StandingJudges({ policies, rows }),
    },
    {
      provide: RetentionPreview,
      inject: [RegisteredVaults, PointCatalog, VaultFacts, StandingJudges],
      useFactory: (
        vaults: RegisteredVaults,
        points: PointCatalog,
        ...[facts, judges]: [VaultFacts, StandingJudges]
      ) => new RetentionPreview({ vaults, points, facts, judges }),
    },
    {
      provide: RetentionTrigger,
      inject: [RetentionRows, Policies, RegisteredVaults, Jobs, SchedulingClock, Log],
      useFactory: (
        rows: RetentionRows,
        policies: Policies,
        vaults: RegisteredVaults,
        ...[jobs, clock, log]: [Jobs, SchedulingClock, Log]
      ) => new RetentionTrigger({ rows, policies, vaults, jobs, clock, log }),
    },
    {
      provide: RetainJob,
      inject: [Retention, RetentionRows, SchedulingClock],
      useFactory: (retention: Retention, rows: RetentionRows, clock: SchedulingClock) =>
        new RetainJob({ retention, rows, clock }),
    },
    {
      provide: RetentionSimulation,
      inject: [Policies, KnownVms, PointCatalog, RegisteredVaults, SchedulingClock],
      useFactory: (
        policies: Policies,
        known: KnownVms,
        points: PointCatalog,
        ...[vaults, clock]: [RegisteredVaults, SchedulingClock]
      ) => new RetentionSimulation({ policies, vms: hostedVms(known), points, vaults, clock }),
    },
    {
      provide: PointKeeping,
      inject: [Policies, RegisteredVaults, PointCatalog, RetentionRows, Retention, SchedulingClock],
      useFactory: (
        policies: Policies,
        vaults: RegisteredVaults,
        points: PointCatalog,
        ...[rows, retention, clock]: [RetentionRows, Retention, SchedulingClock]
      ) => new PointKeeping({ policies, vaults, points, rows, retention, clock }),
    },
  ],
  exports: [
    ...[RetentionStatus, Retention, PointKeeping, RetentionPreview, RetentionSimulation],
    RetentionTrigger,
  ],
})
export class RetentionModule implements OnModuleInit, OnModuleDestroy {
  constructor(
    private readonly jobs: Jobs,
    private readonly trigger: RetentionTrigger,
    private readonly retain: RetainJob,
    private readonly modules: ModuleRef,
  ) {}

  onModuleInit(): void {
    this.modules.get(Policies, { strict: false }).previewWith(this.modules.get(RetentionPreview));
    this.jobs.register('retain', this.retain.run, vaultNeeds('retain'));
  }

  async onModuleDestroy(): Promise<void> {
    await this.trigger.stop();
  }
}
