import { UnstorableRow } from '../catalog/jobs/job-statements.ts';
import type { Log } from '../kernel/log.ts';
import { withoutDetails, type JobChange } from './job-outcome.ts';
import type { JobStorage } from './live-job.ts';
import { UnwrittenRows } from './stored-job.ts';

interface Unwritten {
  /** Of the claim; undefined for a job that was never accepted. */
  readonly token: string | undefined;
  readonly end: JobChange;
  readonly onWritten: () => void;
}

/** Writes ends of jobs, again and again while the database is away. */
export class JobEnds {
  readonly trouble: UnwrittenRows;
  private readonly unwritten = new Map<string, Unwritten>();
  private rewriting: NodeJS.Timeout | undefined;
  private isClosed = false;

  constructor(
    private readonly rows: Pick<JobStorage['rows'], 'end' | 'endQueued' | 'requestCancel'>,
    private readonly log: Log,
    private readonly rewriteMs: number,
  ) {
    this.trouble = new UnwrittenRows(log);
  }

  /** Resolves when the end is written, or cannot be written now. */
  async write(id: string, token: string, end: JobChange, onWritten: () => void): Promise<void> {
    this.unwritten.set(id, { token, end, onWritten });
    await this.writeAll();
  }

  /** Ends a job whose row may be there though nobody was told. */
  writeNever(id: string, end: JobChange): void {
    this.unwritten.set(id, { token: undefined, end, onWritten: () => undefined });
    this.writeAgainLater();
  }

  /**
   * Writes the ends that were not written yet. One that cannot be written does not stop the others.
   */
  async writeAll(): Promise<void> {
    for (const [id, unwritten] of this.unwritten) {
      try {
        await this.writeOne(id, unwritten);
      } catch (error) {
        // The operation is over, and watchers were told; the write is repeated soon.
        this.trouble.tell(id, error);
        continue;
      }
      this.trouble.wrote();
      this.unwritten.delete(id);
      unwritten.onWritten();
    }
    this.writeAgainLater();
  }

  /** Writes nothing by itself any more. */
  close(): void {
    this.isClosed = true;
    clearTimeout(this.rewriting);
  }

  /** In the background: the database may be away, and no job should wait for it. */
  private writeAgainLater(): void {
    clearTimeout(this.rewriting);
    if (this.unwritten.size === 0 || this.isClosed) {
      return;
    }
    this.rewriting = setTimeout(() => {
      void this.writeAll();
    }, this.rewriteMs);
    this.rewriting.unref();
  }

  private async writeOne(id: string, { token, end }: Unwritten): Promise<void> {
    if (token === undefined) {
      if (!(await this.rows.endQueued(id, end))) {
        await this.rows.requestCancel(id);
      }
      return;
    }
    if (!(await this.stored(id, token, end))) {
      this.log.warn('job.end-ignored', { jobId: id, state: end.state });
    }
  }

  private async stored(id: string, token: string, end: JobChange): Promise<boolean> {
    try {
      return await this.rows.end(id, token, end);
    } catch (error) {
      if (!(error instanceof UnstorableRow)) {
        throw error;
      }
      this.log.error('job.end-not-storable', { jobId: id, error });
      return this.rows.end(id, token, withoutDetails(end));
    }
  }
}
