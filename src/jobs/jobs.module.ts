import { Module, type DynamicModule, type OnModuleDestroy } from '@nestjs/common';
import { JobClaims } from '../catalog/jobs/job-claims.ts';
import { JobLeases } from '../catalog/jobs/job-leases.ts';
import { JobRows } from '../catalog/jobs/job-rows.ts';
import { JobSignals } from '../catalog/jobs/job-signals.ts';
import { VaultHosts } from '../catalog/jobs/vault-hosts.ts';
import { Clock } from '../kernel/clock.ts';
import { HostIdentity } from '../kernel/host-identity.ts';
import { Log } from '../kernel/log.ts';
import { Jobs } from './jobs.ts';
import type { JobsOptions } from './live-job.ts';

/**
 * Runs jobs. When the service stops, it stops them first, while everything they need is still
 * there.
 */
@Module({})
export class JobsModule implements OnModuleDestroy {
  constructor(private readonly jobs: Jobs) {}

  static with(options: JobsOptions): DynamicModule {
    return {
      module: JobsModule,
      global: true,
      providers: [
        {
          provide: Jobs,
          inject: [JobRows, JobClaims, JobLeases, JobSignals, VaultHosts, HostIdentity, Clock, Log],
          useFactory: (
            rows: JobRows,
            claims: JobClaims,
            ...[leases, signals, vaults, host, clock, log]: [
              ...[JobLeases, JobSignals, VaultHosts],
              ...[HostIdentity, Clock, Log],
            ]
          ) =>
            new Jobs(
              { rows, claims, leases, signals, vaults },
              { hostId: host.id, clock, log },
              options,
            ),
        },
      ],
      exports: [Jobs],
    };
  }

  async onModuleDestroy(): Promise<void> {
    await this.jobs.close();
  }
}
