import { Test } from '@nestjs/testing';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { APPLICATION_OPTIONS, configureHttp } from '../../../src/api/http.ts';
import { listenInHome, listenOnTcp } from '../../../src/api/listening.ts';
import { API_PREFIX } from '../../../src/api/contract/routes.ts';
import { Job, isFinished } from '../../../src/api/contract/jobs.ts';
import { ServiceStart } from '../../../src/api/service-start.ts';
import { readOrMakeToken } from '../../../src/api/token-file.ts';
import { AppModule } from '../../../src/app.module.ts';
import { CareScheduler } from '../../../src/care/care-scheduler.ts';
import { Engine } from '../../../src/engines/engine.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { readConfig } from '../../../src/platform/config/config.ts';
import { Verifications } from '../../../src/policies/verification/verifications.ts';
import { RetentionTrigger } from '../../../src/policies/retention/deciding/retention-trigger.ts';
import { Scheduler } from '../../../src/policies/runs/scheduler.ts';
import { SchedulingClock } from '../../../src/policies/runs/scheduling-clock.ts';
import { createDatabase, type TestDatabase } from './database.ts';
import '../vault/cheap-keys.ts';

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Nothing happens by itself that a test did not ask for. */
const QUIET = { VAULT_PACK_SIZE: '16MiB', VERIFY_NEW_POINTS: 'off' };

/**
 * A service with a database of its own, whose engine is the test's. Tests come over TCP, with the
 * token; the command line finds the socket in `home`.
 */
export class TestService {
  private app: NestExpressApplication | undefined;
  private listening = new AsyncDisposableStack();
  address = '';
  token = '';

  private constructor(
    readonly home: string,
    private readonly engine: Engine,
    private database: TestDatabase,
    private readonly set: {
      readonly settings: Readonly<Record<string, string>>;
      readonly clock: SchedulingClock | undefined;
    },
  ) {}

  /**
   * @param settings more environment variables of the service
   * @param clock by which policies fire; default: the real one
   */
  static async start(
    engine: Engine,
    settings: Readonly<Record<string, string>> = {},
    clock?: SchedulingClock,
  ): Promise<TestService> {
    const home = await mkdtemp(join(tmpdir(), 'hk-service-'));
    const database = await createDatabase();
    const service = new TestService(home, engine, database, { settings, clock });
    await service.open();
    return service;
  }

  /** Stops in order and starts again. */
  async restart(): Promise<void> {
    await this.close();
    await this.open();
  }

  /** As if the database had been lost. */
  async loseDatabase(): Promise<void> {
    await this.close();
    const lost = this.database;
    this.database = await createDatabase();
    await lost.drop();
    await this.open();
  }

  async remove(): Promise<void> {
    await this.close();
    await this.database.drop();
    await rm(this.home, { recursive: true });
  }

  /** A statement on the service's database. */
  async sql(statement: string): Promise<void> {
    await this.database.run(statement);
  }

  /** The rows of a table. */
  async rows(table: string): Promise<unknown[]> {
    return this.database.run(`SELECT * FROM ${table}`);
  }

  /** Lets policies fire now. */
  async tick(): Promise<void> {
    await this.app?.get(Scheduler).tick();
  }

  /** Has it look what is due of the care of its vaults. */
  async care(): Promise<void> {
    await this.app?.get(CareScheduler).tick();
  }

  /** Has the service look whether it is time to decide about the points of its vaults. */
  async decide(): Promise<void> {
    await this.app?.get(RetentionTrigger).tick();
  }

  /** Has the service look whether points are to be verified, and settles those that were. */
  async verifies(): Promise<void> {
    await this.app?.get(Verifications).tick();
  }

  async get(path: string): Promise<Answer> {
    return this.send('GET', path);
  }

  async post(path: string, body: unknown = {}): Promise<Answer> {
    return this.send('POST', path, body);
  }

  async send(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(`${this.address}${API_PREFIX}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  }

  /** Starts an operation and follows its events to the end. */
  async run(path: string, body: unknown): Promise<Job> {
    const { status, body: job } = await this.post(path, body);
    if (status !== 202) {
      throw new Error(`not accepted: ${JSON.stringify(job)}`);
    }
    return this.ended(Job.parse(job).id);
  }

  async ended(jobId: string): Promise<Job> {
    let last: Job | undefined;
    for await (const job of this.events(jobId)) {
      last = job;
    }
    if (last === undefined || !isFinished(last)) {
      throw new Error(`the events of ${jobId} ended before the job did`);
    }
    return last;
  }

  /** The server-sent events of a job. */
  async *events(jobId: string): AsyncGenerator<Job> {
    const response = await fetch(`${this.address}${API_PREFIX}/jobs/${jobId}/events`, {
      headers: { authorization: `Bearer ${this.token}` },
    });
    let text = '';
    for await (const piece of response.body ?? []) {
      text += Buffer.from(piece as Uint8Array).toString('utf8');
      const events = text.split('\n\n');
      text = events.pop() ?? '';
      for (const event of events) {
        const line = event.split('\n').find((part) => part.startsWith('data: '));
        if (line !== undefined) {
          yield Job.parse(JSON.parse(line.slice('data: '.length)));
        }
      }
    }
  }

  private async open(): Promise<void> {
    const log = new SilentLog();
    const config = readConfig(
      { ...QUIET, HYPERKEEP_HOME: this.home, ...this.set.settings },
      { userId: 0, homeFolder: this.home },
    );
    const builder = Test.createTestingModule({
      imports: [
        AppModule.with({ config, connection: { url: this.database.url }, log, version: '0.0.0' }),
      ],
    })
      .overrideProvider(Engine)
      .useValue(this.engine);
    if (this.set.clock !== undefined) {
      builder.overrideProvider(SchedulingClock).useValue(this.set.clock);
    }
    const module = await builder.compile();
    this.app = module.createNestApplication<NestExpressApplication>(APPLICATION_OPTIONS);
    this.token = await readOrMakeToken(this.home);
    configureHttp(this.app, { token: this.token, version: '0.0.0', log });
    await this.app.get(ServiceStart).run(new AbortController().signal);
    this.listening = new AsyncDisposableStack();
    this.listening.use(await listenInHome(this.app, this.home));
    const tcp = await listenOnTcp(this.app, { host: '127.0.0.1', port: 0 });
    this.listening.use(tcp);
    this.address = tcp.address;
  }

  private async close(): Promise<void> {
    await this.app?.close();
    await this.listening.disposeAsync();
  }
}
