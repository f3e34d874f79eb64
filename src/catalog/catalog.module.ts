import {
  Module,
  type BeforeApplicationShutdown,
  type DynamicModule,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Clock } from '../kernel/clock.ts';
import { HostIdentity } from '../kernel/host-identity.ts';
import { IdleMemory } from '../kernel/memory/idle-memory.ts';
import { Log } from '../kernel/log.ts';
import { SecretStore } from '../kernel/secret-store.ts';
import { StoreAccess } from '../vault/store/store-access.ts';
import type { VaultParameters } from '../vault/access/vault-options.ts';
import {
  openCatalog,
  type CatalogConnection,
  type DatabaseHold,
} from './database/catalog-source.ts';
import { CareRevisions } from './care/care-revisions.ts';
import { CareRunRows } from './care/care-run-rows.ts';
import { CareTasks } from './care/care-tasks.ts';
import { ApiTokenRows } from './api-token-rows.ts';
import { CollectorRows } from './collector-rows.ts';
import { InventoryRows } from './inventory-rows.ts';
import { CatalogAge } from './catalog-age.ts';
import { OldRows } from './old-rows.ts';
import { PointCatalog } from './point-catalog.ts';
import { NewestPoints } from './newest-points.ts';
import { PointProofs } from './point-proofs.ts';
import { PolicyRows } from './policy-rows.ts';
import { PolicySets } from './policy-sets.ts';
import { RetentionRows } from './retention-rows.ts';
import { SuspicionRows } from './suspicion/suspicion-rows.ts';
import { RunRows } from './run-rows.ts';
import { VerificationRows } from './verification/verification-rows.ts';
import { VaultUse } from './vault-use/vault-use.ts';
import { RegisteredVaults } from './registered-vaults.ts';
import { VaultCredentials } from './vault-credentials.ts';
import { VaultRegistrations } from './vault-registrations.ts';

export interface CatalogSettings {
  readonly connection: CatalogConnection;
  /** Undefined for a process that has the database to itself. */
  readonly hold?: DatabaseHold | undefined;
  /** Folder that may be deleted at any time. */
  readonly cacheFolder: string;
  readonly vaultParameters: Partial<VaultParameters>;
}

/** What other modules use. */
const ROWS = [
  PointCatalog,
  NewestPoints,
  PolicySets,
  PointProofs,
  InventoryRows,
  PolicyRows,
  RunRows,
  CatalogAge,
  OldRows,
  ApiTokenRows,
  CollectorRows,
  RetentionRows,
  SuspicionRows,
  VerificationRows,
  CareRevisions,
  CareTasks,
  CareRunRows,
  VaultUse,
];

/** Vaults, points, jobs and policies in the database. Closes the vaults before the database. */
@Module({})
export class CatalogModule implements BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    private readonly source: DataSource,
    private readonly vaults: RegisteredVaults,
  ) {}

  static with(settings: CatalogSettings): DynamicModule {
    const { connection, hold, cacheFolder, vaultParameters } = settings;
    return {
      module: CatalogModule,
      global: true,
      providers: [
        { provide: DataSource, useFactory: async () => openCatalog(connection, hold) },
        ...[VaultRegistrations, ...ROWS].map((rows) => ({
          provide: rows,
          inject: [DataSource],
          useFactory: (source: DataSource) => new rows(source),
        })),
        {
          provide: RegisteredVaults,
          inject: [
            VaultRegistrations,
            PointCatalog,
            SecretStore,
            StoreAccess,
            HostIdentity,
            Clock,
            Log,
            IdleMemory,
          ],
          useFactory: (
            registrations: VaultRegistrations,
            points: PointCatalog,
            ...[secrets, stores, host, clock, log, memory]: [
              SecretStore,
              StoreAccess,
              HostIdentity,
              Clock,
              Log,
              IdleMemory,
            ]
          ) =>
            new RegisteredVaults(registrations, points, {
              secrets,
              credentials: new VaultCredentials(secrets),
              stores,
              clock,
              log,
              memory,
              parameters: vaultParameters,
              openOptions: {
                clock,
                log,
                cacheFolder,
                reader: { service: host.id, name: host.name },
              },
            }),
        },
      ],
      exports: [...ROWS, DataSource, RegisteredVaults],
    };
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.vaults.close();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.source.destroy();
  }
}
