import { Module, type OnModuleInit } from '@nestjs/common';
import { PointCatalog } from '../catalog/point-catalog.ts';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { Engine } from '../engines/engine.ts';
import { Jobs } from '../jobs/jobs.ts';
import { Clock } from '../kernel/clock.ts';
import { HostIdentity } from '../kernel/host-identity.ts';
import { Log } from '../kernel/log.ts';
import { backupJob } from './backup.job.ts';
import { BackupService } from './backup.service.ts';

@Module({
  providers: [
    {
      provide: BackupService,
      inject: [Engine, RegisteredVaults, PointCatalog, HostIdentity, Clock, Log],
      useFactory: (
        engine: Engine,
        vaults: RegisteredVaults,
        points: PointCatalog,
        ...[host, ...rest]: [HostIdentity, Clock, Log]
      ) => new BackupService({ engine, vaults, points, host }, ...rest),
    },
  ],
})
export class BackupModule implements OnModuleInit {
  constructor(
    private readonly jobs: Jobs,
    private readonly backups: BackupService,
    private readonly engine: Engine,
  ) {}

  onModuleInit(): void {
    this.jobs.register('backup', backupJob(this.backups));
    // Jobs wait for merges of what they froze, which may take hours.
    this.jobs.closing.addEventListener('abort', () => {
      this.engine.giveUpMerges();
    });
  }
}
