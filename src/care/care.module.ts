import {
  Injectable,
  Module,
  type DynamicModule,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { CareRunRows } from '../catalog/care/care-run-rows.ts';
import { CareTasks } from '../catalog/care/care-tasks.ts';
import { CatalogAge } from '../catalog/catalog-age.ts';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { InventoryModule } from '../inventory/inventory.module.ts';
import { KnownVms } from '../inventory/known-vms.ts';
import { Jobs } from '../jobs/jobs.ts';
import { HostIdentity } from '../kernel/host-identity.ts';
import { Log } from '../kernel/log.ts';
import { Policies } from '../policies/policies.service.ts';
import { RetentionModule } from '../policies/retention/deciding/retention.module.ts';
import { RetentionTrigger } from '../policies/retention/deciding/retention-trigger.ts';
import { SchedulingClock } from '../policies/runs/scheduling-clock.ts';
import { CareAttempts } from './care-attempts.ts';
import { CareScheduler } from './care-scheduler.ts';
import { Care } from './care.service.ts';

const TICK_MS = 5000;

/** Only ticks: what is due stands in the database. */
@Injectable()
class CareTicker implements OnApplicationBootstrap {
  constructor(private readonly scheduler: CareScheduler) {}

  onApplicationBootstrap(): void {
    this.tick();
  }

  @Interval(TICK_MS)
  tick(): void {
    void this.scheduler.tick();
  }
}

export interface CareOptions {
  /** Waiting times before the next attempt, while something is unavailable. */
  readonly backoffMs: readonly number[];
}

/** Cares for vaults by itself. */
@Module({})
export class CareModule implements OnModuleDestroy {
  constructor(private readonly scheduler: CareScheduler) {}

  static with({ backoffMs }: CareOptions): DynamicModule {
    return {
      module: CareModule,
      global: true,
      imports: [InventoryModule, RetentionModule],
      providers: [
        CareTicker,
        {
          provide: CareScheduler,
          inject: [
            ...[CareRunRows, CareTasks, Policies, RegisteredVaults, KnownVms, Jobs],
            ...[CatalogAge, RetentionTrigger, SchedulingClock, HostIdentity, Log],
          ],
          useFactory: (
            rows: CareRunRows,
            tasks: CareTasks,
            policies: Policies,
            ...[vaults, known, jobs, age, retention, clock, host, log]: [
              ...[RegisteredVaults, KnownVms, Jobs, CatalogAge],
              ...[RetentionTrigger, SchedulingClock, HostIdentity, Log],
            ]
          ) => {
            const onEnd = (): void => {
              void scheduler.tick();
            };
            const common = { hostId: host.id, rows, tasks, vaults, log };
            const attempts = new CareAttempts({ ...common, jobs, retention, onEnd }, backoffMs);
            const hosts = async () => known.hosts();
            const scheduler = new CareScheduler({
              ...common,
              ...{ policies, hosts, attempts, age, clock },
            });
            return scheduler;
          },
        },
        {
          provide: Care,
          inject: [CareScheduler, CareRunRows, CareTasks, SchedulingClock],
          useFactory: (
            scheduler: CareScheduler,
            rows: CareRunRows,
            ...[tasks, clock]: [CareTasks, SchedulingClock]
          ) => new Care({ scheduler, rows, tasks, clock }),
        },
      ],
      exports: [Care],
    };
  }

  async onModuleDestroy(): Promise<void> {
    await this.scheduler.stop();
  }
}
