import { Inject, Module, type DynamicModule, type OnModuleInit } from '@nestjs/common';
import { PointCatalog } from '../catalog/point-catalog.ts';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { Engine } from '../engines/engine.ts';
import type { RunJob } from '../jobs/job.ts';
import { Jobs } from '../jobs/jobs.ts';
import { Clock } from '../kernel/clock.ts';
import { HostIdentity } from '../kernel/host-identity.ts';
import { Log } from '../kernel/log.ts';
import { backupJob, backupNeeds, type BackupSettings } from './backup.job.ts';
import { BackupService } from './backup.service.ts';
import { groupBackupJob, groupBackupNeeds } from './group-backup.job.ts';
import { GroupBackupService } from './group-backup.service.ts';

const SETTINGS = Symbol('BackupSettings');
const RUNNERS = Symbol('BackupRunners');
type Runners = Record<'backup' | 'backup-group', RunJob>;

/** Takes recovery points. */
@Module({
  providers: [
    ...[BackupService, GroupBackupService].map((service) => ({
      provide: service,
      inject: [Engine, RegisteredVaults, PointCatalog, HostIdentity, Clock, Log],
      useFactory: (
        engine: Engine,
        vaults: RegisteredVaults,
        points: PointCatalog,
        ...[host, ...rest]: [HostIdentity, Clock, Log]
      ) => new service({ engine, vaults, points, host }, ...rest),
    })),
    {
      provide: RUNNERS,
      inject: [BackupService, GroupBackupService, SETTINGS],
      useFactory: (
        backups: BackupService,
        groups: GroupBackupService,
        settings: BackupSettings,
      ): Runners => ({
        backup: backupJob(backups, settings),
        'backup-group': groupBackupJob(groups, settings),
      }),
    },
  ],
})
export class BackupModule implements OnModuleInit {
  static with(settings: BackupSettings): DynamicModule {
    return { module: BackupModule, providers: [{ provide: SETTINGS, useValue: settings }] };
  }

  constructor(
    private readonly jobs: Jobs,
    private readonly engine: Engine,
    @Inject(RUNNERS) private readonly runners: Runners,
  ) {}

  onModuleInit(): void {
    this.jobs.register('backup', this.runners.backup, backupNeeds);
    this.jobs.register('backup-group', this.runners['backup-group'], groupBackupNeeds);
    // Jobs wait for merges of what they froze, which may take hours.
    this.jobs.closing.addEventListener('abort', () => {
      this.engine.giveUpMerges();
    });
  }
}
