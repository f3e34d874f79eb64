import { once } from 'node:events';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { configureHttp, createHttp } from './api/http.ts';
import { listenInHome, listenOnTcp, type Listening } from './api/listening.ts';
import { DOCS_PATH } from './api/access.ts';
import { TOKEN_FILE } from './api/contract/access.ts';
import { ServiceStart } from './api/service-start.ts';
import { readOrMakeToken } from './api/token-file.ts';
import { AppModule } from './app.module.ts';
import {
  MIGRATION_NAMES,
  openCatalog,
  type CatalogConnection,
} from './catalog/database/catalog-source.ts';
import type { LeaseTerms } from './catalog/jobs/lease-messages.ts';
import { DatabaseClaim } from './catalog/database/database-claim.ts';
import type { Engine } from './engines/engine.ts';
import type { Log } from './kernel/log.ts';
import type { Config } from './platform/config/config.ts';
import { readOrMakeHostId } from './platform/host-id.ts';
import { holdHome, makeOwnFolder } from './platform/home-folder.ts';
import { startEmbeddedPostgres } from './platform/database/embedded-postgres.ts';
import type { StopDeadline } from './platform/stop-deadline.ts';
import { PinoLog } from './platform/logging/pino-log.ts';
import type { SchedulingClock } from './policies/runs/scheduling-clock.ts';

export type ServiceRole = 'collector';

export interface ServeOptions {
  readonly config: Config;
  readonly version: string;
  /** `collector`: gives points up for services of other machines, within floors of its own. */
  readonly role?: ServiceRole | undefined;
  /** Opens the separate retention keys of the vaults of a collector. */
  readonly retentionPassphrase?: string | undefined;
  /** For people; the log goes to `errors` as JSON lines. */
  readonly output: { write(text: string): unknown };
  readonly errors: { write(text: string): unknown };
  /** Undefined if the process goes on after the service. */
  readonly deadline?: StopDeadline;
  /** Waits until services of older versions have left the database, instead of giving up. */
  readonly waitsForOlder?: boolean;
  /** By which policies fire; default: the clock of this host. */
  readonly schedulingClock?: SchedulingClock;
  /** Times of claims of jobs. Default: for people; tests use shorter ones. */
  readonly leases?: LeaseTerms;
  /** That has the VMs of this host; default: the driver for its hypervisor. */
  readonly engine?: Engine;
}

/**
 * Runs the service until `signal` fires; resolves when everything has stopped in order. VMs go on
 * running.
 *
 * @throws Fault `service.already-running` if another service has this home or port,
 *   `database.in-use` if one of this host uses the database, or came while it was away;
 *   `database.newer`, `database.older-hosts` if other hosts are of another version
 */
export async function serve(options: ServeOptions, asked: AbortSignal): Promise<void> {
  const { config, version, output, errors, deadline, schedulingClock, engine } = options;
  const log = new PinoLog(config.log.level, {
    write: (line: string) => {
      errors.write(line);
    },
  });
  await makeOwnFolder(config.home);
  await makeOwnFolder(config.runFolder);
  await using held = new AsyncDisposableStack();
  held.use(await holdHome(config.home, asked));
  const { connection, abandon, checkpoint } = held.use(await openDatabase(config, log, asked));
  deadline?.before(() => {
    log.error('service.stop-overdue', {});
    abandon();
  });
  const say = (sentence: string): unknown => output.write(`${sentence}\n`);
  const claim = {
    hostId: await readOrMakeHostId(config.home),
    home: config.home,
    migrations: MIGRATION_NAMES,
    migrate: async () => (await openCatalog(connection)).destroy(),
    waitsForOlder: options.waitsForOlder === true,
    log,
    say,
  };
  const hold = held.use(await DatabaseClaim.make(connection, claim, asked));
  const signal = AbortSignal.any([asked, hold.lost]);
  const { retentionPassphrase } = options;
  const collector = options.role && { ...config.collector, retentionPassphrase };
  const own = { schedulingClock, engine, collector, leases: options.leases };
  const parts = { config, connection, hold, log, version, ...own };
  const app = await createHttp(AppModule.with(parts));
  await using listening = new AsyncDisposableStack();
  try {
    const { http } = config;
    const token = http === undefined ? {} : { token: await readOrMakeToken(config.home) };
    configureHttp(app, { ...token, version, log });
    await app.get(ServiceStart).run(signal);
    const { address } = listening.use(await listenInHome(app, config.home));
    const tcp = http === undefined ? undefined : listening.use(await listenOnTcp(app, http));
    output.write(`Hyperkeep ${version} listens at ${address}.\n${onTcp(tcp, config.home)}`);
    log.info('service.started', {
      version,
      address,
      ...(tcp && { http: tcp.address }),
      home: config.home,
    });
    // Otherwise both happen at the end, where they would take longer than the rest of the stop.
    void checkpoint();
    flushCompileCache();
    if (!signal.aborted) {
      await once(signal, 'abort');
    }
    log.info('service.stopping', {});
  } finally {
    await app.close();
  }
  log.info('service.stopped', {});
  hold.lost.throwIfAborted();
}

/** Returns what people need to know to connect over TCP. */
function onTcp(tcp: Listening | undefined, home: string): string {
  return tcp === undefined
    ? ''
    : `HTTP at ${tcp.address} (documentation: ${tcp.address}${DOCS_PATH}) with the token in ${join(home, TOKEN_FILE)}.\n`;
}

interface Database extends AsyncDisposable {
  readonly connection: CatalogConnection;
  /** Ends it without waiting, if it is ours. */
  readonly abandon: () => void;
  readonly checkpoint: () => Promise<void>;
}

/** Opens the PostgreSQL in the settings, or starts our own under the home. */
async function openDatabase(config: Config, log: Log, signal: AbortSignal): Promise<Database> {
  const { url } = config.database;
  if (url !== undefined) {
    const nothing = async (): Promise<void> => undefined;
    return {
      connection: { url },
      abandon: () => undefined,
      checkpoint: nothing,
      [Symbol.asyncDispose]: nothing,
    };
  }
  return startEmbeddedPostgres({ home: config.home }, log, signal);
}
