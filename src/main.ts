import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { configureHttp, createHttp, listen } from './api/http.ts';
import { DOCS_PATH } from './api/access.ts';
import { TOKEN_FILE } from './api/contract/access.ts';
import { ServiceStart } from './api/service-start.ts';
import { readOrMakeToken, removeAddress, writeAddress } from './api/token-file.ts';
import { AppModule } from './app.module.ts';
import type { CatalogConnection } from './catalog/catalog-source.ts';
import { DatabaseClaim } from './catalog/database-claim.ts';
import { PRIVATE_FOLDER_MODE } from './kernel/durable-file.ts';
import { Fault, systemCode } from './kernel/fault.ts';
import { chmod, realpath } from './kernel/files.ts';
import { makeFolders } from './kernel/folders.ts';
import type { Log } from './kernel/log.ts';
import type { Config } from './platform/config/config.ts';
import { startEmbeddedPostgres } from './platform/database/embedded-postgres.ts';
import type { StopDeadline } from './platform/stop-deadline.ts';
import { PinoLog } from './platform/logging/pino-log.ts';

export interface ServeOptions {
  readonly config: Config;
  readonly version: string;
  /** Where people are told what to know; the log goes to `errors` as JSON lines. */
  readonly output: { write(text: string): unknown };
  readonly errors: { write(text: string): unknown };
  /** Left out where the process goes on without the service. */
  readonly deadline?: StopDeadline;
}

/**
 * Runs the service until `signal` fires; returns when everything has stopped in order. VMs go on
 * running.
 *
 * @throws Fault `service.already-running` when another service has this home or port,
 *   `database.in-use` when one has this database, or took it while it was away
 */
export async function serve(options: ServeOptions, asked: AbortSignal): Promise<void> {
  const { config, version, output, errors, deadline } = options;
  const log = new PinoLog(config.log.level, {
    write: (line: string) => {
      errors.write(line);
    },
  });
  await makePrivateFolder(config.home);
  await makePrivateFolder(config.runFolder);
  await using held = new AsyncDisposableStack();
  held.use(await holdHome(config.home));
  const { connection, abandon } = held.use(await openDatabase(config, log, asked));
  deadline?.before(() => {
    log.error('service.stop-overdue', {});
    abandon();
  });
  const say = (sentence: string): unknown => output.write(`${sentence}\n`);
  const claim = { home: config.home, log, say };
  const hold = held.use(await DatabaseClaim.make(connection, claim, asked));
  const signal = AbortSignal.any([asked, hold.lost]);
  const app = await createHttp(AppModule.with({ config, connection, hold, log, version }));
  try {
    const token = await readOrMakeToken(config.home);
    configureHttp(app, { token, version, log });
    await app.get(ServiceStart).run(signal);
    const address = await listen(app, config.http.port);
    await writeAddress(config.home, address);
    output.write(
      `Hyperkeep ${version} listens at ${address} (documentation: ${address}${DOCS_PATH}).\n` +
        `Clients read the token from ${join(config.home, TOKEN_FILE)}.\n`,
    );
    log.info('service.started', { version, address, home: config.home });
    if (!signal.aborted) {
      await once(signal, 'abort');
    }
    log.info('service.stopping', {});
  } finally {
    await removeAddress(config.home);
    await app.close();
  }
  log.info('service.stopped', {});
  hold.lost.throwIfAborted();
}

async function makePrivateFolder(folder: string): Promise<void> {
  const made = await makeFolders(folder);
  if (made !== undefined) {
    await chmod(folder, PRIVATE_FOLDER_MODE);
  }
}

/**
 * Holds the home folder for this process. The kernel gives the name (an abstract socket) back
 * when the process dies in whatever way, so nothing stale is ever left.
 */
async function holdHome(home: string): Promise<AsyncDisposable> {
  const digest = createHash('sha256')
    .update(await realpath(home))
    .digest('hex');
  const server: Server = createServer((socket) => socket.destroy());
  server.listen(`\0hyperkeep-${digest.slice(0, 32)}`);
  try {
    await once(server, 'listening');
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE') {
      throw new Fault(
        'service.already-running',
        `A service is running in ${home} already; stop it first, or set HYPERKEEP_HOME.`,
        { home },
        { cause: error },
      );
    }
    throw error;
  }
  server.unref();
  return {
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

interface Database extends AsyncDisposable {
  readonly connection: CatalogConnection;
  /** Ends it without waiting, if it is ours. */
  readonly abandon: () => void;
}

/** The PostgreSQL that was named, or one of our own under the home. */
async function openDatabase(config: Config, log: Log, signal: AbortSignal): Promise<Database> {
  const { url } = config.database;
  if (url !== undefined) {
    const nothing = (): void => undefined;
    return { connection: { url }, abandon: nothing, [Symbol.asyncDispose]: async () => undefined };
  }
  return startEmbeddedPostgres({ home: config.home }, log, signal);
}
