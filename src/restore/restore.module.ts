import { Module, type DynamicModule, type OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { PointProofs } from '../catalog/point-proofs.ts';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { VaultCredentials } from '../catalog/vault-credentials.ts';
import { Engine } from '../engines/engine.ts';
import { createImage } from '../formats/image.ts';
import { Jobs } from '../jobs/jobs.ts';
import { vaultNeeds } from '../jobs/vault-needs.ts';
import { Clock } from '../kernel/clock.ts';
import { HostIdentity } from '../kernel/host-identity.ts';
import { SecretStore } from '../kernel/secret-store.ts';
import { Log } from '../kernel/log.ts';
import { Exports } from './exports/exports.ts';
import { restoreJob } from './restore.job.ts';
import { RestoreJournal } from './restore-journal.ts';
import { RestoreService } from './restore.service.ts';
import { verifyJob } from './verify.job.ts';
import { VerifyService } from './verify.service.ts';

@Module({})
export class RestoreModule implements OnModuleInit {
  constructor(
    private readonly jobs: Jobs,
    private readonly modules: ModuleRef,
    private readonly journal: RestoreJournal,
    private readonly log: Log,
  ) {}

  /**
   * @param settings.folder where VMs are restored to by default
   * @param settings.journalFolder where files are recorded while they are written
   * @param settings.exportsFolder where exports have their sockets
   */
  static with(settings: {
    readonly folder: string;
    readonly journalFolder: string;
    readonly exportsFolder: string;
  }): DynamicModule {
    const { folder, journalFolder, exportsFolder } = settings;
    return {
      module: RestoreModule,
      global: true,
      providers: [
        {
          provide: VerifyService,
          inject: [RegisteredVaults, PointProofs, Clock, HostIdentity],
          useFactory: (
            vaults: RegisteredVaults,
            proofs: PointProofs,
            ...[clock, host]: [Clock, HostIdentity]
          ) => new VerifyService({ vaults, proofs, clock, host }),
        },
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
        {
          provide: Exports,
          inject: [RegisteredVaults, SecretStore, HostIdentity, Clock],
          useFactory: (
            vaults: RegisteredVaults,
            secrets: SecretStore,
            ...[host, clock]: [HostIdentity, Clock]
          ) => {
            const credentials = new VaultCredentials(secrets);
            return new Exports({ vaults, credentials, host, clock, folder: exportsFolder });
          },
        },
      ],
      exports: [Exports],
    };
  }

  async onModuleInit(): Promise<void> {
    const files = await this.journal.removeLeftovers();
    if (files.length > 0) {
      this.log.warn('restore.leftovers-removed', { files });
    }
    this.jobs.register('restore', restoreJob(this.modules.get(RestoreService)));
    const verify = verifyJob(this.modules.get(VerifyService));
    this.jobs.register('verify', verify, vaultNeeds('verify'));
    // It stays with the host that has found it due, and tries with what that host may read.
    this.jobs.register('prove', verify);
  }
}
