import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import type { CatalogConnection } from '../database/catalog-source.ts';
import { clientConfig } from '../database/client-config.ts';
import { JOB_CHANNEL, type JobNews } from './job-statements.ts';

const DELAY_MS_MAX = 5000;

export interface JobListener {
  readonly onNews: (news: JobNews, jobId: string) => void;
  /** News may have been missed: everything must be looked at. */
  readonly onGap: () => void;
}

/**
 * What services that share a database tell each other of jobs, on a connection of its own. News are
 * a hint: whoever gets none looks now and then.
 */
export class JobSignals implements AsyncDisposable {
  private readonly closing = new AbortController();
  private client: Client | undefined;
  private isConnected = false;

  constructor(private readonly connection: CatalogConnection) {}

  /** Begins to listen. */
  listen(listener: JobListener): void {
    void this.run(listener);
  }

  private async run(listener: JobListener): Promise<void> {
    const { signal } = this.closing;
    for (let delayMs = 100; !signal.aborted; delayMs = Math.min(DELAY_MS_MAX, delayMs * 2)) {
      try {
        const { ended } = await this.connect(listener);
        listener.onGap();
        delayMs = 100;
        await ended;
      } catch {
        // The database is away, which its holder tells.
      }
      await pause(delayMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  private async connect({ onNews }: JobListener): Promise<{ ended: Promise<void> }> {
    const client = new Client(clientConfig(this.connection, 'hyperkeep jobs'));
    this.client = client;
    const ended = new Promise<void>((resolve) => {
      client.once('end', resolve);
    });
    const told = ended.then(() => {
      this.isConnected = false;
    });
    client.on('error', () => undefined);
    client.on('notification', ({ payload = '' }) => {
      const [news = '', jobId = ''] = payload.split(' ');
      onNews(news as JobNews, jobId);
    });
    try {
      await client.connect();
      await client.query(`LISTEN ${JOB_CHANNEL}`);
      this.isConnected = true;
    } catch (error) {
      void client.end().catch(() => undefined);
      throw error;
    }
    return { ended: told };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closing.abort();
    const end = this.client?.end().catch(() => undefined);
    // One that is not connected may take long to notice.
    await (this.isConnected ? end : undefined);
  }
}
