import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, type ClientConfig } from 'pg';
import { Fault, isFault, type FaultCode } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import type { CatalogConnection } from './catalog-source.ts';
import { clientConfig } from './client-config.ts';
import { hostLock, lockHolders, serviceName, tryLock, type LockHolder } from './advisory-locks.ts';
import { databaseFault, type DatabasePlace } from './database-fault.ts';
import { useTables, type TablesUse } from './tables-use.ts';

/**
 * PostgreSQL notices within milliseconds that a process has died; an orderly stop takes seconds.
 */
const OTHERS_PATIENCE_MS = 3000;
const OTHERS_POLL_MS = 200;
const FIRST_DELAY_MS = 100;
const DELAY_MS_MAX = 2000;
/** How often to log again that the database is away. */
const REMIND_MS = 30_000;
/** A host that vanishes loses its claim after about half a minute. */
const SESSION_SETTINGS = `SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
  SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'`;

export interface ClaimOptions extends Pick<TablesUse, 'migrations' | 'migrate' | 'waitsForOlder'> {
  /** Whose VMs this service runs: a host has one service. */
  readonly hostId: string;
  /** Home of this service, for another one that finds the claim held. */
  readonly home: string;
  readonly log: Log;
  /** Tells people why the start takes so long. */
  readonly say: (sentence: string) => void;
}

/**
 * This service's right to the database, as the only one of its host and beside those of others:
 * its own session holds advisory locks, which PostgreSQL frees however the process dies. Waits
 * without a limit for a database that is away, and renews the claim after it has been away.
 */
export class DatabaseClaim implements AsyncDisposable {
  readonly place: DatabasePlace;
  private readonly options: ClaimOptions;
  private readonly config: ClientConfig;
  private readonly closing = new AbortController();
  private readonly taken = new AbortController();
  private client: Client | undefined;
  /** A database that comes back may be in the middle of a restore: its tables are left alone. */
  private wasHeld = false;
  private renewing: Promise<void> = Promise.resolve();
  private say: (sentence: string) => void;

  private constructor(connection: CatalogConnection, options: ClaimOptions) {
    this.options = options;
    this.say = options.say;
    this.place = placeOf(connection);
    const service = `${String(process.pid)}@${hostname()}:${options.home}`;
    this.config = clientConfig(connection, `hyperkeep ${service}`);
  }

  /**
   * Makes the claim once the database answers and no other service of this host uses it.
   * @throws Fault `database.in-use`, `database.refused`, `database.newer`, `database.older-hosts`
   */
  static async make(
    connection: CatalogConnection,
    options: ClaimOptions,
    signal: AbortSignal,
  ): Promise<DatabaseClaim> {
    const claim = new DatabaseClaim(connection, options);
    await claim.acquire(signal, ['database.unavailable']);
    return claim;
  }

  /** False while the database is away: the service then writes nothing that another one may see. */
  get isHeld(): boolean {
    return this.client !== undefined;
  }

  /**
   * Fires with a Fault if another service of this host claimed the database while it was away, or a
   * newer version changed its tables.
   */
  get lost(): AbortSignal {
    return this.taken.signal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closing.abort();
    await this.renewing;
    const { client } = this;
    this.client = undefined;
    await client?.end().catch(() => undefined); // It ends with the process at the latest.
  }

  /** Connects and locks, however long the database is away. */
  private async acquire(signal: AbortSignal, goesOnAfter: readonly FaultCode[]): Promise<void> {
    const client = await this.locked(signal, goesOnAfter);
    this.client = client;
    this.wasHeld = true;
    client.once('end', () => {
      this.renew(client);
    });
  }

  private async locked(signal: AbortSignal, goesOnAfter: readonly FaultCode[]): Promise<Client> {
    const reminder = new Reminder(this.options.log, this.place);
    for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(DELAY_MS_MAX, delayMs * 2)) {
      signal.throwIfAborted();
      try {
        const client = await this.connectAndLock(signal);
        reminder.end();
        return client;
      } catch (error) {
        const fault = databaseFault(error, this.place);
        if (!isFault(fault) || !goesOnAfter.includes(fault.code)) {
          throw fault;
        }
        if (reminder.failed(fault)) {
          this.say(`${fault.message} Waiting for it.`);
        }
      }
      await pause(delayMs, undefined, { signal });
    }
  }

  private async connectAndLock(signal: AbortSignal): Promise<Client> {
    const client = await this.connect();
    try {
      await this.lock(client, signal);
      return client;
    } catch (error) {
      void client.end().catch(() => undefined);
      throw error;
    }
  }

  private async connect(): Promise<Client> {
    const client = new Client(this.config);
    // Only the end of the connection counts, and it follows.
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query(SESSION_SETTINGS);
      return client;
    } catch (error) {
      void client.end().catch(() => undefined);
      throw error;
    }
  }

  private async lock(client: Client, signal: AbortSignal): Promise<void> {
    const key = hostLock(this.options.hostId);
    const untilMs = performance.now() + OTHERS_PATIENCE_MS;
    while (!(await tryLock(client, key, 'alone'))) {
      if (performance.now() > untilMs) {
        throw this.inUse(await lockHolders(client, key));
      }
      await pause(OTHERS_POLL_MS, undefined, { signal });
    }
    const { place, options, say } = this;
    const { migrations, waitsForOlder } = options;
    const migrate = this.wasHeld ? undefined : options.migrate;
    await useTables(client, { place, migrations, migrate, waitsForOlder, say }, signal);
  }

  private inUse([holder]: readonly LockHolder[]): Fault {
    const who = holder === undefined ? '' : ` (${serviceName(holder)})`;
    return new Fault(
      'database.in-use',
      `Another service of this host uses the database ${this.place.name}${who}. Nothing was changed in it. If its home was copied from this one, or this one from it, remove the file host-id from the copy: it is another host then. Otherwise stop that service.`,
      { database: this.place.name, ...(holder === undefined ? {} : { holder: holder.name }) },
    );
  }

  private renew(ended: Client): void {
    if (this.client !== ended || this.closing.signal.aborted) {
      return;
    }
    this.client = undefined;
    this.say = () => undefined;
    this.options.log.warn('database.lost', { database: this.place.name });
    const { signal } = this.closing;
    // Somebody may be restoring it from a dump: a refusal can be temporary, because the settings
    // worked before.
    this.renewing = this.acquire(signal, ['database.unavailable', 'database.refused']).then(
      () => {
        this.options.log.info('database.claimed-again', { database: this.place.name });
      },
      (error: unknown) => {
        if (!signal.aborted) {
          this.options.log.error('database.not-claimed-again', { error });
          this.taken.abort(error);
        }
      },
    );
  }
}

/** Logs when the database goes away, now and then while it is, and when it is back. */
class Reminder {
  private readonly startMs = performance.now();
  private saidMs = -Infinity;
  private readonly log: Log;
  private readonly place: DatabasePlace;

  constructor(log: Log, place: DatabasePlace) {
    this.log = log;
    this.place = place;
  }

  /** Returns true if it is time to log. */
  failed({ context }: Fault): boolean {
    if (performance.now() - this.saidMs < REMIND_MS) {
      return false;
    }
    this.saidMs = performance.now();
    this.log.warn('database.away', context);
    return true;
  }

  end(): void {
    if (this.saidMs !== -Infinity) {
      const awayMs = Math.round(performance.now() - this.startMs);
      this.log.info('database.back', { database: this.place.name, awayMs });
    }
  }
}

/** Returns host, port and database of an address, never the user and the password. */
function placeOf(connection: CatalogConnection): DatabasePlace {
  if (!('url' in connection)) {
    const { host, database } = connection;
    // A folder with a socket means that we run the database ourselves.
    return { name: host.startsWith('/') ? `${database} (embedded)` : `${database} at ${host}` };
  }
  const { host, pathname, searchParams } = new URL(connection.url);
  return { name: `${pathname.slice(1)} at ${searchParams.get('host') ?? host}` };
}
