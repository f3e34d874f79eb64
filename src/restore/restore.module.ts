import { Module, type DynamicModule, type OnModuleInit } from '@nestjs/common';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { Engine } from '../engines/engine.ts';
import { createImage } from '../formats/image.ts';
import { Jobs } from '../jobs/jobs.ts';
import { Clock } from '../kernel/clock.ts';
import { restoreJob } from './restore.job.ts';
import { RestoreService } from './restore.service.ts';
import { verifyJob } from './verify.job.ts';

@Module({})
export class RestoreModule implements OnModuleInit {
  constructor(
    private readonly jobs: Jobs,
    private readonly restores: RestoreService,
  ) {}

  /** @param settings.folder where VMs are restored to when nobody says where */
  static with({ folder }: { readonly folder: string }): DynamicModule {
    return {
      module: RestoreModule,
      providers: [
        {
          provide: RestoreService,
          inject: [Engine, RegisteredVaults, Clock],
          useFactory: (engine: Engine, vaults: RegisteredVaults, clock: Clock) =>
            new RestoreService({ engine, vaults, createImage, folder }, clock),
        },
      ],
    };
  }

  onModuleInit(): void {
    this.jobs.register('restore', restoreJob(this.restores));
    this.jobs.register('verify', verifyJob(this.restores));
  }
}
