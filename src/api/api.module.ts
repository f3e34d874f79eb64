import { Module, type DynamicModule } from '@nestjs/common';
import { Engine } from '../engines/engine.ts';
import { InventoryModule } from '../inventory/inventory.module.ts';
import { Jobs } from '../jobs/jobs.ts';
import { JobsController } from './jobs.controller.ts';
import { OperationsController } from './operations.controller.ts';
import { PointSearch } from './point-search.ts';
import { PointsController } from './points.controller.ts';
import { ServiceStart } from './service-start.ts';
import { ServiceController } from './service.controller.ts';
import { VaultsController } from './vaults.controller.ts';
import { VmsController } from './vms.controller.ts';

@Module({})
export class ApiModule {
  static with({ version }: { readonly version: string }): DynamicModule {
    return {
      module: ApiModule,
      imports: [InventoryModule],
      controllers: [
        ServiceController,
        VaultsController,
        VmsController,
        PointsController,
        OperationsController,
        JobsController,
      ],
      providers: [
        PointSearch,
        {
          provide: ServiceStart,
          inject: [Engine, Jobs],
          useFactory: (engine: Engine, jobs: Jobs) => new ServiceStart(engine, jobs, version),
        },
      ],
      exports: [ServiceStart],
    };
  }
}
