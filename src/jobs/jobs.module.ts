import { Module, type DynamicModule, type OnModuleDestroy } from '@nestjs/common';
import { JobRows } from '../catalog/job-rows.ts';
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
          inject: [JobRows, Clock, Log, HostIdentity],
          useFactory: (rows: JobRows, clock: Clock, log: Log, { id: hostId }: HostIdentity) =>
            new Jobs(rows, { clock, log, hostId }, options),
        },
      ],
      exports: [Jobs],
    };
  }

  async onModuleDestroy(): Promise<void> {
    await this.jobs.close();
  }
}
