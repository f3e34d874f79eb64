import {
  Module,
  type DynamicModule,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { CollectorRows } from '../catalog/collector-rows.ts';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { Jobs } from '../jobs/jobs.ts';
import { Clock } from '../kernel/clock.ts';
import { HostIdentity } from '../kernel/host-identity.ts';
import { Log } from '../kernel/log.ts';
import { Collecting } from './collecting.ts';
import { CollectorSchedule, type CollectorTimes } from './collector-schedule.ts';
import type { Floors } from './floors.ts';

export interface CollectorSettings {
  readonly floors: Floors;
  readonly times: CollectorTimes;
  /** Opens the separate retention keys of its vaults. */
  readonly retentionPassphrase?: string | undefined;
}

/** Gives points up on a machine of its own, within its floors: `serve --role collector`. */
@Module({})
export class CollectorModule implements OnApplicationBootstrap, OnModuleDestroy {
  constructor(private readonly schedule: CollectorSchedule) {}

  static with({ floors, times, retentionPassphrase }: CollectorSettings): DynamicModule {
    return {
      module: CollectorModule,
      global: true,
      exports: [CollectorSchedule],
      providers: [
        {
          provide: CollectorSchedule,
          inject: [RegisteredVaults, CollectorRows, HostIdentity, Jobs, Clock, Log],
          useFactory: (
            vaults: RegisteredVaults,
            rows: CollectorRows,
            ...[host, jobs, clock, log]: [HostIdentity, Jobs, Clock, Log]
          ) => {
            const parts = { vaults, rows, host, floors, retentionPassphrase, clock, log };
            const collecting = new Collecting(parts);
            return new CollectorSchedule({ vaults, jobs, collecting, floors, times, log });
          },
        },
      ],
    };
  }

  onApplicationBootstrap(): void {
    this.schedule.begin();
  }

  async onModuleDestroy(): Promise<void> {
    await this.schedule[Symbol.asyncDispose]();
  }
}
