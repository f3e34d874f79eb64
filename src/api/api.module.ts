import { Module, type BeforeApplicationShutdown, type DynamicModule } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { Server } from 'node:http';
import { AccessModule } from '../access/access.module.ts';
import { PointProofs } from '../catalog/point-proofs.ts';
import { RetentionRows } from '../catalog/retention-rows.ts';
import { Engine } from '../engines/engine.ts';
import { Discovery } from '../inventory/discovery.ts';
import { InventoryModule } from '../inventory/inventory.module.ts';
import { Jobs } from '../jobs/jobs.ts';
import { SuspicionModule } from '../policies/suspicion/suspicion.module.ts';
import { SuspicionsController } from './controllers/suspicions.controller.ts';
import { CareController } from './controllers/care.controller.ts';
import { CatalogController } from './controllers/catalog.controller.ts';
import { CollectorController } from './controllers/collector.controller.ts';
import { JobsController } from './controllers/jobs.controller.ts';
import { PoliciesController } from './controllers/policies.controller.ts';
import { ProtectionController } from './controllers/protection.controller.ts';
import { PolicyRetentionController } from './controllers/policy-retention.controller.ts';
import { PolicyTextController } from './controllers/policy-text.controller.ts';
import { RunsController } from './controllers/runs.controller.ts';
import { OperationsController } from './controllers/operations.controller.ts';
import { PointFacts } from './point-facts.ts';
import { PointSearch } from './point-search.ts';
import { PointsController } from './controllers/points.controller.ts';
import { ServiceStart } from './service-start.ts';
import { ServiceController } from './controllers/service.controller.ts';
import { RetentionController } from './controllers/retention.controller.ts';
import { RetentionModule } from '../policies/retention/deciding/retention.module.ts';
import { UpkeepModule } from '../upkeep/upkeep.module.ts';
import { UpkeepController } from './controllers/upkeep.controller.ts';
import { CredentialsController } from './controllers/credentials.controller.ts';
import { TokensController } from './controllers/tokens.controller.ts';
import { VaultsController } from './controllers/vaults.controller.ts';
import { ExportsController } from './controllers/exports/exports.controller.ts';
import { HostsController } from './controllers/hosts.controller.ts';
import { VmsController } from './controllers/vms.controller.ts';

/** How long requests and event streams may take to end when the service stops. */
const CLOSE_GRACE_MS = 2000;

@Module({})
export class ApiModule implements BeforeApplicationShutdown {
  constructor(private readonly adapter: HttpAdapterHost) {}

  static with({ version }: { readonly version: string }): DynamicModule {
    return {
      module: ApiModule,
      imports: [AccessModule, InventoryModule, UpkeepModule, RetentionModule, SuspicionModule],
      controllers: [
        ServiceController,
        VaultsController,
        CredentialsController,
        VmsController,
        HostsController,
        UpkeepController,
        RetentionController,
        PointsController,
        OperationsController,
        ExportsController,
        JobsController,
        PoliciesController,
        ProtectionController,
        PolicyTextController,
        PolicyRetentionController,
        RunsController,
        CatalogController,
        CollectorController,
        SuspicionsController,
        CareController,
        TokensController,
      ],
      providers: [
        PointSearch,
        {
          provide: PointFacts,
          inject: [PointProofs, RetentionRows],
          useFactory: (proofs: PointProofs, rows: RetentionRows) => new PointFacts(proofs, rows),
        },
        {
          provide: ServiceStart,
          inject: [Engine, Jobs, Discovery],
          useFactory: (engine: Engine, jobs: Jobs, discovery: Discovery) =>
            new ServiceStart(engine, jobs, discovery, version),
        },
      ],
      exports: [ServiceStart],
    };
  }

  /** The server closes next and waits for its connections, but no longer than this. */
  beforeApplicationShutdown(): void {
    const server = this.adapter.httpAdapter.getHttpServer() as Server;
    const timer = setTimeout(() => {
      server.closeAllConnections();
    }, CLOSE_GRACE_MS);
    server.once('close', () => {
      clearTimeout(timer);
    });
  }
}
