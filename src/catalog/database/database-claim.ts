import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, type ClientConfig } from 'pg';
import { Fault, isFault, type FaultCode } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import type { CatalogConnection } from './catalog-source.ts';
import { databaseFault, type DatabasePlace } from './database-fault.ts';

/** Key of the advisory lock that one service at a time holds: "hk-owner" in ASCII. */
const CLAIM_LOCK = '7524157559220888946';
const CONNECT_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 15_000;
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
const HOLDER = `SELECT application_name AS name, a.pid AS pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND (l.classid::bigint << 32 | l.objid::bigint) = ${CLAIM_LOCK}
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

export interface ClaimOptions {
  /** Home of this service, for another one that finds the claim held. */
  readonly home: string;
  readonly log: Log;
  /** Tells people why the start takes so long. */
  readonly say: (sentence: string) => void;
}

/**
 * This service's right to the database: its own session holds an advisory lock, which PostgreSQL
 * frees however the process dies. Waits without a limit for a database that is away, and renews the
 * claim after the database has been away.
 */
export class DatabaseClaim implements AsyncDisposable {
  readonly place: DatabasePlace;
  private readonly options: ClaimOptions;
  private readonly config: ClientConfig;
  private readonly closing = new AbortController();
  private readonly taken = new AbortController();
  private client: Client | undefined;
  private renewing: Promise<void> = Promise.resolve();
  private say: (sentence: string) => void;

  private constructor(connection: CatalogConnection, options: ClaimOptions) {
    this.options = options;
    this.say = options.say;
    this.place = placeOf(connection);
    this.config = {
      ...('url' in connection ? { connectionString: connection.url } : connection),
      application_name: `hyperkeep ${String(process.pid)}@${hostname()}:${options.home}`,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    };
  }

  /**
   * Makes the claim once the database answers and no other service uses it.
   * @throws Fault `database.in-use`, `database.refused`
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

  /** Fires with a Fault if another service took the database while it was away. */
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
    const untilMs = performance.now() + OTHERS_PATIENCE_MS;
    for (;;) {
      const { rows } = await client.query<{ locked: boolean }>(
        `SELECT pg_try_advisory_lock(${CLAIM_LOCK}) AS locked`,
      );
      if (rows[0]?.locked === true) {
        return;
      }
      if (performance.now() > untilMs) {
        throw await this.inUse(client);
      }
      await pause(OTHERS_POLL_MS, undefined, { signal });
    }
  }

  private async inUse(client: Client): Promise<Fault> {
    const { rows } = await client.query<{ name: string; pid: number }>(HOLDER);
    const [holder] = rows;
    const who =
      holder === undefined
        ? 'another service'
        : `another service (${holder.name.replace(/^hyperkeep /, 'process ')}, session ${String(holder.pid)} of PostgreSQL)`;
    return new Fault(
      'database.in-use',
      `The database ${this.place.name} is in use by ${who}. Nothing was changed in it. Stop that service, or give this one a database of its own with DATABASE_URL.`,
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
