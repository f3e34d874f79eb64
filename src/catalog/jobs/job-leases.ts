import { Worker } from 'node:worker_threads';
import type { Log } from '../../kernel/log.ts';
import type { CatalogConnection } from '../database/catalog-source.ts';
import type { LeaseNews, LeaseOrder, LeaseTerms } from './lease-messages.ts';

/** The thread ends when nothing runs for so long; an idle service has none. */
const IDLE_MS = 15_000;

export interface LeaseListener {
  /** The claim is over: somebody else ended the job. */
  readonly onLost: (jobId: string) => void;
  /** Somebody elsewhere asks for the end of the job. */
  readonly onCancel: (jobId: string) => void;
  /** The job stood still for too long, and its lease is renewed no more. */
  readonly onStuck: (jobId: string) => void;
}

/** A claim that is kept alive. */
export interface HeldLease {
  /** Says that the job goes on. */
  readonly sign: () => void;
  readonly release: () => void;
}

/**
 * Keeps the claims of this process alive: a thread with a connection of its own renews them, also
 * while the main loop is busy. It stops when a job gives no sign, or the loop does not turn, for
 * longer than is believable, and then ends the process.
 */
export class JobLeases implements AsyncDisposable {
  private readonly held = new Set<string>();
  private readonly loop = new Int32Array(new SharedArrayBuffer(4));
  readonly terms: LeaseTerms;
  private readonly connection: CatalogConnection;
  private readonly log: Log;
  private worker: Worker | undefined;
  private turning: NodeJS.Timeout | undefined;
  private resting: NodeJS.Timeout | undefined;
  private listener: LeaseListener | undefined;

  constructor(connection: CatalogConnection, terms: LeaseTerms, log: Log) {
    this.connection = connection;
    this.terms = terms;
    this.log = log;
  }

  listen(listener: LeaseListener): void {
    this.listener = listener;
  }

  /** Keeps a claim that was just made. */
  hold(id: string, token: string): HeldLease {
    const signs = new Int32Array(new SharedArrayBuffer(4));
    this.held.add(id);
    clearTimeout(this.resting);
    this.worker ??= this.start();
    this.worker.postMessage({ hold: id, token, signs } satisfies LeaseOrder);
    return {
      sign: () => {
        Atomics.add(signs, 0, 1);
      },
      release: () => {
        this.held.delete(id);
        this.worker?.postMessage({ release: id } satisfies LeaseOrder);
        this.restLater();
      },
    };
  }

  private start(): Worker {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const { connection, terms, loop } = this;
    const worker = new Worker(new URL(`./lease.worker.${extension}`, import.meta.url), {
      workerData: { connection, terms, loop },
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    worker.unref();
    worker.on('message', (news: LeaseNews) => {
      this.tell(news);
    });
    worker.on('error', (error) => {
      // The next claim starts another; these run until somebody ends them.
      this.log.error('job.leases-lost', { error });
      this.worker = undefined;
    });
    clearInterval(this.turning); // Of a thread that has failed.
    this.turning = setInterval(() => Atomics.add(loop, 0, 1), terms.renewMs).unref();
    return worker;
  }

  private tell({ news, id }: LeaseNews): void {
    if (!this.held.has(id)) {
      return;
    }
    switch (news) {
      case 'lost':
        this.listener?.onLost(id);
        break;
      case 'cancel':
        this.listener?.onCancel(id);
        break;
      case 'stuck':
        this.listener?.onStuck(id);
        break;
    }
  }

  private restLater(): void {
    clearTimeout(this.resting);
    if (this.held.size === 0) {
      this.resting = setTimeout(() => void this.rest(), IDLE_MS).unref();
    }
  }

  private async rest(): Promise<void> {
    clearInterval(this.turning);
    clearTimeout(this.resting);
    const { worker } = this;
    this.worker = undefined;
    await worker?.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest();
  }
}
