import { Module, type DynamicModule } from '@nestjs/common';
import { join } from 'node:path';
import { ApiModule } from './api/api.module.ts';
import { BackupModule } from './backup/backup.module.ts';
import { CatalogModule, type CatalogSettings } from './catalog/catalog.module.ts';
import { CareModule } from './care/care.module.ts';
import type { Engine } from './engines/engine.ts';
import { EnginesModule } from './engines/engines.module.ts';
import { NoEngine } from './engines/no-engine.ts';
import type { LeaseTerms } from './catalog/jobs/lease-messages.ts';
import { JobTablesModule } from './catalog/jobs/job-tables.module.ts';
import { JobsModule } from './jobs/jobs.module.ts';
import type { Log } from './kernel/log.ts';
import type { Config } from './platform/config/config.ts';
import { PlatformModule } from './platform/platform.module.ts';
import { PoliciesModule } from './policies/policies.module.ts';
import type { SchedulingClock } from './policies/runs/scheduling-clock.ts';
import { RetentionModule } from './policies/retention/deciding/retention.module.ts';
import { SchedulingModule } from './policies/runs/scheduling.module.ts';
import { CollectorModule, type CollectorSettings } from './records/collector.module.ts';
import { SuspicionModule } from './policies/suspicion/suspicion.module.ts';
import { VerificationModule } from './policies/verification/verification.module.ts';
import { RestoreModule } from './restore/restore.module.ts';
import { UpkeepModule } from './upkeep/upkeep.module.ts';
import { VaultModule } from './vault/vault.module.ts';

/** Waiting times before a run is tried again, while something is unavailable. */
const BACKOFF_MS = [1, 2, 5, 15].map((minutes) => minutes * 60_000);

export interface ServiceParts {
  readonly config: Config;
  readonly connection: CatalogSettings['connection'];
  readonly hold?: CatalogSettings['hold'];
  readonly log: Log;
  readonly version: string;
  /** Of a collector: the service has no VMs then, fires no policies, and gives points up. */
  readonly collector?: CollectorSettings | undefined;
  /** Default: the clock of this host. */
  readonly schedulingClock?: SchedulingClock | undefined;
  /** Times of claims of jobs. Default: for people; tests use shorter ones. */
  readonly leases?: LeaseTerms | undefined;
  /** Default: the driver for the hypervisor of this host. */
  readonly engine?: Engine | undefined;
}

/** The service; the only list of its modules. */
@Module({})
export class AppModule {
  static with(parts: ServiceParts): DynamicModule {
    const { config, connection, hold, log, version, schedulingClock: clock, collector } = parts;
    const { home, runFolder } = config;
    return {
      module: AppModule,
      imports: [
        PlatformModule.with({ home, log, version }),
        VaultModule.with(config.vault),
        CatalogModule.with({
          connection,
          hold,
          cacheFolder: join(home, 'cache'),
          vaultParameters: { packBytes: config.vault.packSize },
        }),
        EnginesModule.with(
          { stateFolder: join(home, 'vms'), runFolder },
          parts.engine ?? (collector && new NoEngine()),
        ),
        JobTablesModule.with(connection, parts.leases),
        JobsModule.with(config.jobs),
        BackupModule.with(config.policies),
        RestoreModule.with({
          folder: join(home, 'restored'),
          journalFolder: join(home, 'restores'),
          exportsFolder: join(runFolder, 'exports'),
        }),
        UpkeepModule,
        PoliciesModule.with(config.policies),
        SchedulingModule.with(
          { atOnce: config.jobs.concurrency, backoffMs: BACKOFF_MS, kept: config.kept },
          clock,
        ),
        VerificationModule.with(config.verification),
        ...(collector === undefined ? [] : [CollectorModule.with(collector)]),
        RetentionModule,
        CareModule.with({ backoffMs: BACKOFF_MS }),
        SuspicionModule,
        ApiModule.with({ version }),
      ],
    };
  }
}
