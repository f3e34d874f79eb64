import { DataSource, type DataSourceOptions, type QueryRunner } from 'typeorm';
import { databaseFault, unavailable, type DatabasePlace } from './database-fault.ts';
import { CareRevisionRow } from '../care/care-revision.row.ts';
import { CareRunRow } from '../care/care-run.row.ts';
import { CareTaskRow } from '../care/care-task.row.ts';
import { HostRow } from '../rows/host.row.ts';
import { VmRow } from '../rows/vm.row.ts';
import { JobRow } from '../rows/job.row.ts';
import { JobGateRow } from '../rows/job-gate.row.ts';
import { JobClaims1796100000000 } from './migrations/1796100000000-job-claims.ts';
import { FirstTables1795000000000 } from './migrations/1795000000000-first-tables.ts';
import { Runs1795600000000 } from './migrations/1795600000000-runs.ts';
import { Inventory1795400000000 } from './migrations/1795400000000-inventory.ts';
import { ScheduleState1795900000000 } from './migrations/1795900000000-schedule-state.ts';
import { Care1796700000000 } from './migrations/1796700000000-care.ts';
import { Suspicion1796500000000 } from './migrations/1796500000000-suspicion.ts';
import { HostVaults1796900000000 } from './migrations/1796900000000-host-vaults.ts';
import { SuspicionRow } from '../rows/suspicion.row.ts';
import { VerificationRuns1796800000000 } from './migrations/1796800000000-verification-runs.ts';
import { VerificationRunRow } from '../verification/verification-run.row.ts';
import { Collector1796400000000 } from './migrations/1796400000000-collector.ts';
import { NamedTokens1795700000000 } from './migrations/1795700000000-named-tokens.ts';
import { RunActors1795800000000 } from './migrations/1795800000000-run-actors.ts';
import { RunHosts1796000000000 } from './migrations/1796000000000-run-hosts.ts';
import { PointChanges1795200000000 } from './migrations/1795200000000-point-changes.ts';
import { PointOrigins1795300000000 } from './migrations/1795300000000-point-origins.ts';
import { VaultUpkeep1795100000000 } from './migrations/1795100000000-vault-upkeep.ts';
import { Policies1795500000000 } from './migrations/1795500000000-policies.ts';
import { Retention1796300000000 } from './migrations/1796300000000-retention.ts';
import { CarriedRevisionRow } from '../rows/carried-revision.row.ts';
import { PointDecisionRow } from '../rows/point-decision.row.ts';
import { PointOwnerRow } from '../rows/point-owner.row.ts';
import { RetentionLookRow } from '../rows/retention-look.row.ts';
import { RunRow } from '../rows/run.row.ts';
import { CollectorPointRow } from '../rows/collector-point.row.ts';
import { CollectorSequenceRow } from '../rows/collector-sequence.row.ts';
import { ApiTokenRow } from '../rows/api-token.row.ts';
import { PointProofRow } from '../rows/point-proof.row.ts';
import { PolicyRevisionRow } from '../rows/policy-revision.row.ts';
import { ScheduleStateRow } from '../rows/schedule-state.row.ts';
import { PolicyRow } from '../rows/policy.row.ts';
import { RecoveryPointRow } from '../rows/recovery-point.row.ts';
import { VaultRow } from '../rows/vault.row.ts';

/**
 * How to reach PostgreSQL: an address, or the parts of one (a `host` that starts with `/` is the
 * folder of a socket).
 */
export type CatalogConnection =
  | { readonly url: string }
  | {
      readonly host: string;
      readonly port?: number;
      readonly user: string;
      readonly password?: string;
      readonly database: string;
    };

const CONNECTIONS_MAX = 8;
const CONNECT_TIMEOUT_MS = 10_000;
const STATEMENT_TIMEOUT_MS = 60_000;
/** Detects a server that stopped answering altogether; longer than a statement may take there. */
const ANSWER_TIMEOUT_MS = 70_000;
/** Key of the advisory lock that lets one process at a time migrate: "hyperkee" in ASCII. */
const MIGRATION_LOCK = '7528983441892959589';

/** What brings the tables to this version, ascending. */
const MIGRATIONS = [
  FirstTables1795000000000,
  VaultUpkeep1795100000000,
  PointChanges1795200000000,
  PointOrigins1795300000000,
  Inventory1795400000000,
  Policies1795500000000,
  Runs1795600000000,
  NamedTokens1795700000000,
  RunActors1795800000000,
  ScheduleState1795900000000,
  RunHosts1796000000000,
  JobClaims1796100000000,
  Retention1796300000000,
  Collector1796400000000,
  Suspicion1796500000000,
  Care1796700000000,
  VerificationRuns1796800000000,
  HostVaults1796900000000,
];

/** What tells one version of the tables from another. */
export const MIGRATION_NAMES: readonly string[] = MIGRATIONS.map(({ name }) => name);

/** Whether this service may use the database now. */
export interface DatabaseHold {
  readonly isHeld: boolean;
  readonly place: DatabasePlace;
}

/** For a process that has the database to itself. */
const UNDISPUTED: DatabaseHold = { isHeld: true, place: { name: 'of the catalog' } };

/** A data source whose statements fail with Faults if the database is away or not ours. */
class CatalogSource extends DataSource {
  private readonly hold: DatabaseHold;

  constructor(options: DataSourceOptions, hold: DatabaseHold) {
    super(options);
    this.hold = hold;
  }

  override createQueryRunner(mode?: 'master' | 'slave'): QueryRunner {
    const runner = super.createQueryRunner(mode);
    // Every statement of repositories and transactions passes here.
    const query = runner.query.bind(runner) as (...given: unknown[]) => Promise<unknown>;
    const guarded = async (...given: unknown[]): Promise<unknown> => {
      if (!this.hold.isHeld) {
        throw unavailable(this.hold.place.name, 'the connection was lost');
      }
      return translated(this.hold, query(...given));
    };
    return Object.assign(runner, { query: guarded });
  }
}

async function translated<T>({ place }: DatabaseHold, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw databaseFault(error, place);
  }
}

/**
 * Connects to the catalog's database and migrates its tables. Close it with `destroy`.
 * @throws Fault `database.unavailable`, `database.refused`; everything that uses the source throws
 *   these too
 */
export async function openCatalog(
  connection: CatalogConnection,
  hold: DatabaseHold = UNDISPUTED,
): Promise<DataSource> {
  const source = new CatalogSource(sourceOptions(connection), hold);
  await translated(hold, source.initialize());
  try {
    await migrate(source);
  } catch (error) {
    await source.destroy();
    throw error;
  }
  return source;
}

function sourceOptions(connection: CatalogConnection): DataSourceOptions {
  return {
    type: 'postgres',
    ...('url' in connection
      ? { url: connection.url }
      : {
          host: connection.host,
          port: connection.port ?? 5432,
          username: connection.user,
          ...(connection.password === undefined ? {} : { password: connection.password }),
          database: connection.database,
        }),
    entities: [
      VaultRow,
      RecoveryPointRow,
      PointProofRow,
      JobRow,
      JobGateRow,
      HostRow,
      VmRow,
      PolicyRow,
      PolicyRevisionRow,
      RunRow,
      ScheduleStateRow,
      ApiTokenRow,
      SuspicionRow,
      VerificationRunRow,
      PointDecisionRow,
      PointOwnerRow,
      CarriedRevisionRow,
      RetentionLookRow,
      CollectorPointRow,
      CollectorSequenceRow,
      CareRevisionRow,
      CareTaskRow,
      CareRunRow,
    ],
    migrations: MIGRATIONS,
    migrationsTableName: 'migration',
    migrationsTransactionMode: 'all',
    synchronize: false,
    installExtensions: false,
    applicationName: 'hyperkeep',
    poolSize: CONNECTIONS_MAX,
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    // Statements fail if the connection is lost; the holder of the claim logs it.
    poolErrorHandler: () => undefined,
    extra: { statement_timeout: STATEMENT_TIMEOUT_MS, query_timeout: ANSWER_TIMEOUT_MS },
  };
}

/** TypeORM does not lock: two services that start at the same time would run a migration twice. */
async function migrate(source: DataSource): Promise<void> {
  await aloneWithTables(source, async () => source.runMigrations());
}

/** Runs work that makes tables, in one process at a time. */
export async function aloneWithTables(
  source: DataSource,
  work: () => Promise<unknown>,
): Promise<void> {
  const holder = source.createQueryRunner();
  try {
    await holder.query(`SELECT pg_advisory_lock(${MIGRATION_LOCK})`);
    try {
      await work();
    } finally {
      await holder.query(`SELECT pg_advisory_unlock(${MIGRATION_LOCK})`);
    }
  } finally {
    await holder.release();
  }
}
