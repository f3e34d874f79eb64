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
import { Fault } from '../kernel/fault.ts';
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
  constructor(
    private readonly schedule: CollectorSchedule,
    private readonly rows: CollectorRows,
    private readonly host: HostIdentity,
  ) {}

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

  /**
   * @throws Fault `collector.database-shared`: whoever takes the other host could write into the
   *   record from which the floors are counted
   */
  async onApplicationBootstrap(): Promise<void> {
    const [other] = await this.rows.otherHosts(this.host.id);
    if (other !== undefined) {
      throw new Fault(
        'collector.database-shared',
        `The host ${other} uses this database, or did. A collector must have one of its own: its record of recovery points is worth nothing where another host can write. Give it another DATABASE_URL, or none.`,
        { host: other },
      );
    }
    this.schedule.begin();
  }

  async onModuleDestroy(): Promise<void> {
    await this.schedule[Symbol.asyncDispose]();
  }
}
