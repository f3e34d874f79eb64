import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { isFinished, type Job } from '../../../src/api/contract/jobs.ts';
import { ServiceClient } from '../../../src/cli/service/service-client.ts';
import { endWithSignal } from '../end-with-signal.ts';

const PROGRAM = join(import.meta.dirname, '../../../bin/hyperkeep.mjs');
const TAIL_CHARACTERS = 4000;

/** The built `hyperkeep serve` as a process of its own, with a PostgreSQL of its own. */
export class RealService {
  readonly client: ServiceClient;
  readonly pid: number;
  private readonly child: ChildProcess;

  /** By event of the log: when it was last logged, by `performance.now`. */
  private readonly saidAt = new Map<string, number>();
  /** By event of the log: its last line. */
  private readonly lines = new Map<string, string>();
  private readonly events = new EventEmitter();

  private constructor(child: ChildProcess, client: ServiceClient) {
    assert(child.pid !== undefined && child.stderr !== null);
    this.pid = child.pid;
    this.child = child;
    this.client = client;
    createInterface({ input: child.stderr }).on('line', (line) => {
      const event = /"event":"([^"]+)"/.exec(line)?.[1];
      if (event !== undefined) {
        this.saidAt.set(event, performance.now());
        this.lines.set(event, line);
        this.events.emit(event);
      }
    });
  }

  /** Resolves once the log has had an event of this name since then. */
  async logs(event: string, sinceMs: number, signal: AbortSignal): Promise<void> {
    while ((this.saidAt.get(event) ?? -Infinity) < sinceMs) {
      await once(this.events, event, { signal });
    }
  }

  /** The last line of the log with this event. */
  last(event: string): Readonly<Record<string, unknown>> | undefined {
    const line = this.lines.get(event);
    return line === undefined ? undefined : (JSON.parse(line) as Record<string, unknown>);
  }

  /**
   * Resolves once the service in `home` answers.
   * @param more added to its environment
   * @param program instead of the built one: what Node gets
   */
  static async start(
    home: string,
    signal: AbortSignal,
    more: Readonly<Record<string, string>> = {},
    program: readonly string[] = [PROGRAM, 'serve'],
  ): Promise<RealService> {
    const child = spawn(process.execPath, program, {
      env: {
        PATH: process.env['PATH'],
        HOME: home,
        XDG_CACHE_HOME: join(home, 'cache'),
        HYPERKEEP_HOME: home,
        VAULT_PACK_SIZE: '16MiB',
        // Its leases would meet what a test gives up.
        VERIFY_NEW_POINTS: 'off',
        ...more,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, as a supervisor or a terminal gives it.
      detached: true,
    });
    const exited = once(child, 'exit');
    const forget = endWithSignal(async () => {
      child.kill('SIGTERM');
      await exited;
    });
    void exited.then(forget, forget);
    let said = '';
    const listens = Promise.withResolvers<undefined>();
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-TAIL_CHARACTERS);
        if (said.includes('listens at')) {
          listens.resolve(undefined);
        }
      });
    }
    child.once('close', () => {
      listens.reject(new Error(`The service ended:\n${said}`));
    });
    await listens.promise;
    return new RealService(child, await ServiceClient.locate({ homeFolder: home }, signal));
  }

  /** Returns the job once it has ended. */
  async ended({ id }: Pick<Job, 'id'>, signal: AbortSignal): Promise<Job> {
    let last: Job | undefined;
    for await (const job of this.client.jobEvents(id, signal)) {
      last = job;
    }
    if (last === undefined || !isFinished(last)) {
      throw new Error(`the events of ${id} ended before the job did`);
    }
    return last;
  }

  /** Ends it like the kernel's OOM killer does. */
  async kill(): Promise<void> {
    this.shoot();
    await this.gone();
  }

  /** Sends the signal and does not wait. */
  shoot(): void {
    this.child.kill('SIGKILL');
  }

  /** Sends the signal to the service and everything that runs in its group. */
  signalGroup(name: NodeJS.Signals): void {
    process.kill(-(this.child.pid ?? 0), name);
  }

  get exitCode(): number | null {
    return this.child.exitCode;
  }

  async gone(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      await once(this.child, 'exit');
    }
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGTERM');
      await once(this.child, 'close');
    }
  }
}
