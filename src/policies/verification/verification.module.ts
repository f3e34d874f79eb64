import {
  Injectable,
  Module,
  type DynamicModule,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { NewestPoints } from '../../catalog/newest-points.ts';
import { PointCatalog } from '../../catalog/point-catalog.ts';
import { PointProofs } from '../../catalog/point-proofs.ts';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import { VerificationRows } from '../../catalog/verification/verification-rows.ts';
import { InventoryModule } from '../../inventory/inventory.module.ts';
import { KnownVms } from '../../inventory/known-vms.ts';
import { Jobs } from '../../jobs/jobs.ts';
import { HostIdentity } from '../../kernel/host-identity.ts';
import { Log } from '../../kernel/log.ts';
import { hostedVms } from '../hosted-vm.ts';
import { Policies } from '../policies.service.ts';
import { SchedulingClock } from '../runs/scheduling-clock.ts';
import { VerificationStatus } from './verification-status.ts';
import { Verifications, type SealedOptions } from './verifications.ts';

/** A new point rings by itself; this is for those of other hosts, and for policies. */
const TICK_MS = 60_000;

/** Only ticks: what is due stands in the database. */
@Injectable()
class VerificationTicker implements OnApplicationBootstrap {
  constructor(private readonly verifications: Verifications) {}

  onApplicationBootstrap(): void {
    this.tick();
  }

  @Interval(TICK_MS)
  tick(): void {
    void this.verifications.tick();
  }
}

/** Has points verified: new ones, and others as policies say. */
@Module({})
export class VerificationModule implements OnModuleInit, OnModuleDestroy {
  constructor(
    private readonly verifications: Verifications,
    private readonly points: PointCatalog,
  ) {}

  static with(options: SealedOptions): DynamicModule {
    return {
      module: VerificationModule,
      global: true,
      imports: [InventoryModule],
      exports: [VerificationStatus],
      providers: [
        VerificationTicker,
        {
          provide: Verifications,
          inject: [
            ...[HostIdentity, VerificationRows, Policies, KnownVms, NewestPoints],
            ...[RegisteredVaults, Jobs, SchedulingClock, Log],
          ],
          useFactory: (
            host: HostIdentity,
            rows: VerificationRows,
            policies: Policies,
            ...[known, newest, vaults, jobs, clock, log]: [
              ...[KnownVms, NewestPoints],
              ...[RegisteredVaults, Jobs, SchedulingClock, Log],
            ]
          ) => {
            const vms = hostedVms(known);
            const parts = { host, rows, policies, vms, newest, vaults, jobs, clock, log };
            return new Verifications(parts, options);
          },
        },
        {
          provide: VerificationStatus,
          inject: [VerificationRows, PointProofs, RegisteredVaults, SchedulingClock],
          useFactory: (
            rows: VerificationRows,
            proofs: PointProofs,
            ...[vaults, clock]: [RegisteredVaults, SchedulingClock]
          ) => new VerificationStatus({ rows, proofs, vaults, clock }),
        },
      ],
    };
  }

  onModuleInit(): void {
    this.points.onPut(async () => {
      // The backup does not wait: its point is sealed.
      void this.verifications.tick();
    });
  }

  async onModuleDestroy(): Promise<void> {
    await this.verifications.stop();
  }
}
