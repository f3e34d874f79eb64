import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '../../kernel/log.ts';
import type { PostgresProcess } from './postgres-process.ts';

const FIRST_DELAY_MS = 100;
const DELAY_MS_MAX = 30_000;
/** A server that ends after living this long has another reason than the time before. */
const STEADY_MS = 60_000;

/** A database server that is started again whenever it ends without being told to. */
export class KeptServer {
  private server: PostgresProcess;
  private readonly startServer: (signal: AbortSignal) => Promise<PostgresProcess>;
  private readonly log: Log;
  private readonly stopping = new AbortController();
  private readonly keeping: Promise<void>;

  constructor(
    server: PostgresProcess,
    start: (signal: AbortSignal) => Promise<PostgresProcess>,
    log: Log,
  ) {
    this.server = server;
    this.startServer = start;
    this.log = log;
    this.keeping = this.keep();
  }

  get pid(): number {
    return this.server.pid;
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.server.stop();
    await this.keeping;
    // It may just have been started again.
    await this.server.stop();
  }

  /** Ends it without a checkpoint and without waiting; the next start recovers. */
  abandon(): void {
    this.stopping.abort();
    this.server.abandon();
  }

  private async keep(): Promise<void> {
    const { signal } = this.stopping;
    let failures = 0;
    for (;;) {
      const startMs = performance.now();
      const said = await this.server.ended;
      if (signal.aborted) {
        return;
      }
      this.log.error('database.ended', { pid: this.server.pid, said });
      failures = performance.now() - startMs < STEADY_MS ? failures : 0;
      try {
        failures = await this.startAgain(failures, signal);
      } catch (error) {
        // The server is being stopped; any other error was logged and the start repeated.
        this.log.debug('database.restart-given-up', { error });
        return;
      }
    }
  }

  /** Returns how often it has failed since it was steady. */
  private async startAgain(failed: number, signal: AbortSignal): Promise<number> {
    for (let failures = failed; ; failures += 1) {
      await pause(Math.min(DELAY_MS_MAX, FIRST_DELAY_MS * 2 ** failures), undefined, { signal });
      try {
        this.server = await this.startServer(signal);
        this.log.warn('database.restarted', { pid: this.server.pid, attempt: failures + 1 });
        return failures + 1;
      } catch (error) {
        signal.throwIfAborted();
        this.log.error('database.restart-failed', { attempt: failures + 1, error });
      }
    }
  }
}
