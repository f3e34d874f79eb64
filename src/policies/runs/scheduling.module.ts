import {
  Injectable,
  Module,
  type DynamicModule,
  type FactoryProvider,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Interval, ScheduleModule } from '@nestjs/schedule';
import { CareRunRows } from '../../catalog/care/care-run-rows.ts';
import { CatalogAge } from '../../catalog/catalog-age.ts';
import { OldRows } from '../../catalog/old-rows.ts';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import { RunRows } from '../../catalog/run-rows.ts';
import { VerificationRows } from '../../catalog/verification/verification-rows.ts';
import { InventoryModule } from '../../inventory/inventory.module.ts';
import { KnownVms } from '../../inventory/known-vms.ts';
import { Jobs } from '../../jobs/jobs.ts';
import { Clock } from '../../kernel/clock.ts';
import { HostIdentity } from '../../kernel/host-identity.ts';
import { Log } from '../../kernel/log.ts';
import { hostedVms } from '../hosted-vm.ts';
import { PolicyStart } from '../policy-start.ts';
import { Policies } from '../policies.service.ts';
import { Housekeeping, type KeptFor } from './housekeeping.ts';
import { RunAttempts, type AttemptOptions } from './run-attempts.ts';
import { Scheduler } from './scheduler.ts';
import { ComparedClock, SchedulingClock } from './scheduling-clock.ts';
import { VaultLooks } from './vault-looks.ts';

const TICK_MS = 5000;
const HOUR_MS = 3_600_000;
const HOURS_OF_DAY = 24;

/** Only ticks: what is due stands in the database. */
@Injectable()
class Ticker implements OnApplicationBootstrap {
  constructor(private readonly scheduler: Scheduler) {}

  onApplicationBootstrap(): void {
    this.tick();
  }

  @Interval(TICK_MS)
  tick(): void {
    void this.scheduler.tick();
  }
}

/** Tidies once a day, the first time an hour after the start. */
@Injectable()
class DailyTidying {
  private hours = 0;

  constructor(private readonly housekeeping: Housekeeping) {}

  @Interval(HOUR_MS)
  look(): void {
    this.hours += 1;
    if (this.hours % HOURS_OF_DAY === 1) {
      void this.housekeeping.tidy();
    }
  }
}

/** Settings of what fires and of what is kept of it. */
export interface SchedulingOptions extends AttemptOptions {
  readonly kept: KeptFor;
}

/** Takes the points that policies ask for. */
@Module({})
export class SchedulingModule implements OnModuleDestroy {
  constructor(
    private readonly scheduler: Scheduler,
    private readonly looks: VaultLooks,
  ) {}

  /** @param ownClock instead of the clock of this host */
  static with(options: SchedulingOptions, ownClock?: SchedulingClock): DynamicModule {
    return {
      module: SchedulingModule,
      global: true,
      exports: [PolicyStart, SchedulingClock],
      imports: [InventoryModule, ScheduleModule.forRoot()],
      providers: [
        Ticker,
        DailyTidying,
        housekeeping(options.kept),
        {
          provide: SchedulingClock,
          inject: [Clock, RunRows],
          useFactory: (clock: Clock, rows: RunRows) => ownClock ?? new ComparedClock(clock, rows),
        },
        {
          provide: VaultLooks,
          inject: [RegisteredVaults],
          useFactory: (vaults: RegisteredVaults) => new VaultLooks(vaults),
        },
        {
          provide: Scheduler,
          inject: [
            ...[Policies, RunRows, KnownVms, RegisteredVaults, VaultLooks, Jobs],
            ...[CatalogAge, SchedulingClock, Log, HostIdentity],
          ],
          useFactory: (
            policies: Policies,
            rows: RunRows,
            known: KnownVms,
            ...[vaults, looks, jobs, age, clock, log, host]: [
              ...[RegisteredVaults, VaultLooks, Jobs],
              ...[CatalogAge, SchedulingClock, Log, HostIdentity],
            ]
          ) => {
            const onEnd = (): void => {
              void scheduler.tick();
            };
            const attempts = new RunAttempts({ rows, vaults, looks, jobs, log, onEnd }, options);
            const vms = hostedVms(known);
            const scheduler = new Scheduler({
              hostId: host.id,
              ...{ rows, policies, vms, attempts, age, looks, clock, log },
            });
            looks.onEnd(onEnd);
            return scheduler;
          },
        },
        {
          provide: PolicyStart,
          inject: [RunRows, KnownVms, SchedulingClock, Scheduler],
          useFactory: (
            rows: RunRows,
            known: KnownVms,
            ...[clock, scheduler]: [SchedulingClock, Scheduler]
          ) => {
            const onRuns = (): void => {
              void scheduler.tick();
            };
            return new PolicyStart({ rows, vms: hostedVms(known), clock, onRuns });
          },
        },
      ],
    };
  }

  async onModuleDestroy(): Promise<void> {
    await this.scheduler.stop();
    await this.looks.stop();
  }
}

function housekeeping(kept: KeptFor): FactoryProvider {
  return {
    provide: Housekeeping,
    inject: [
      ...[OldRows, VerificationRows, CareRunRows, CatalogAge],
      ...[SchedulingClock, HostIdentity, Log],
    ],
    useFactory: (
      rows: OldRows,
      verifications: VerificationRows,
      ...[care, age, clock, host, log]: [
        ...[CareRunRows, CatalogAge, SchedulingClock],
        ...[HostIdentity, Log],
      ]
    ) => new Housekeeping({ rows, verifications, care, age, clock, host, log }, kept),
  };
}
