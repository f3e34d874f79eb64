import { Module, type BeforeApplicationShutdown, type DynamicModule } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Clock } from '../../kernel/clock.ts';
import { HostIdentity } from '../../kernel/host-identity.ts';
import { Log } from '../../kernel/log.ts';
import type { CatalogConnection } from '../database/catalog-source.ts';
import { RegisteredVaults } from '../registered-vaults.ts';
import { HandOut } from './hand-out.ts';
import { JobClaims } from './job-claims.ts';
import { JobLeases } from './job-leases.ts';
import type { LeaseTerms } from './lease-messages.ts';
import { JobRows } from './job-rows.ts';
import { JobSignals } from './job-signals.ts';
import { VaultHosts } from './vault-hosts.ts';

const LEASES: LeaseTerms = { leaseMs: 60_000, renewMs: 15_000, standstillMs: 600_000 };

/** What jobs need of the database, of which they are done before it closes. */
@Module({})
export class JobTablesModule implements BeforeApplicationShutdown {
  constructor(
    private readonly handOut: HandOut,
    private readonly leases: JobLeases,
    private readonly signals: JobSignals,
  ) {}

  /** @param leases default: times for people */
  static with(connection: CatalogConnection, leases = LEASES): DynamicModule {
    return {
      module: JobTablesModule,
      global: true,
      providers: [
        {
          provide: HandOut,
          inject: [DataSource, Log],
          useFactory: async (source: DataSource, log: Log) => HandOut.open(source, log),
        },
        ...[JobRows, JobClaims].map((rows) => ({
          provide: rows,
          inject: [DataSource, HandOut],
          useFactory: (source: DataSource, handOut: HandOut) => new rows(source, handOut),
        })),
        {
          provide: JobLeases,
          inject: [Log],
          useFactory: (log: Log) => new JobLeases(connection, leases, log),
        },
        {
          provide: VaultHosts,
          inject: [DataSource, RegisteredVaults, HostIdentity, Clock],
          useFactory: (
            source: DataSource,
            vaults: RegisteredVaults,
            ...[host, clock]: [HostIdentity, Clock]
          ) => {
            const hosts = new VaultHosts(source, vaults, host, clock);
            // Else others would believe for a while that nobody can open a new vault.
            vaults.onAccess(async () => hosts.look());
            return hosts;
          },
        },
        { provide: JobSignals, useFactory: () => new JobSignals(connection) },
      ],
      exports: [JobRows, JobClaims, JobLeases, JobSignals, VaultHosts],
    };
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.signals[Symbol.asyncDispose]();
    await this.leases[Symbol.asyncDispose]();
    await this.handOut[Symbol.asyncDispose]();
  }
}
