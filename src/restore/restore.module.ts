import { Module, type DynamicModule, type OnModuleInit } from '@nestjs/common';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { Engine } from '../engines/engine.ts';
import { createImage } from '../formats/image.ts';
import { Jobs } from '../jobs/jobs.ts';
import { Clock } from '../kernel/clock.ts';
import { Log } from '../kernel/log.ts';
import { restoreJob } from './restore.job.ts';
import { RestoreJournal } from './restore-journal.ts';
import { RestoreService } from './restore.service.ts';
import { verifyJob } from './verify.job.ts';

@Module({})
export class RestoreModule implements OnModuleInit {
  constructor(
    private readonly jobs: Jobs,
    private readonly restores: RestoreService,
    private readonly journal: RestoreJournal,
    private readonly log: Log,
  ) {}

  /**
   * @param settings.folder where VMs are restored to when nobody says where
   * @param settings.journalFolder where files are noted while they are written
   */
  static with(settings: {
    readonly folder: string;
    readonly journalFolder: string;
  }): DynamicModule {
    const { folder, journalFolder } = settings;
    return {
      module: RestoreModule,
      providers: [
        { provide: RestoreJournal, useFactory: () => new RestoreJournal(journalFolder) },
        {
          provide: RestoreService,
          inject: [Engine, RegisteredVaults, RestoreJournal, Clock],
          useFactory: (
            engine: Engine,
            vaults: RegisteredVaults,
            journal: RestoreJournal,
            clock: Clock,
          ) => new RestoreService({ engine, vaults, createImage, journal, folder }, clock),
        },
      ],
    };
  }

  async onModuleInit(): Promise<void> {
    const files = await this.journal.removeLeftovers();
    if (files.length > 0) {
      this.log.warn('restore.leftovers-removed', { files });
    }
    this.jobs.register('restore', restoreJob(this.restores));
    this.jobs.register('verify', verifyJob(this.restores));
  }
}
