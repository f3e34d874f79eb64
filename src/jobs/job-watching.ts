import { EventEmitter } from 'node:events';
import { isFinished, type Job } from './job.ts';
import type { JobRuns } from './job-runs.ts';
import type { JobStorage } from './live-job.ts';
import { fromStored } from './stored-job.ts';

/** How often to look at the progress of jobs that others run, while somebody watches. */
const LOOK_MS = 1000;

/** Tells watchers of changes: of jobs here at once, of those elsewhere from their rows. */
export class JobWatching {
  private readonly changes = new EventEmitter().setMaxListeners(0);
  private readonly told = new Map<string, string>();
  private timer: NodeJS.Timeout | undefined;
  private looking = false;

  constructor(
    private readonly rows: Pick<JobStorage['rows'], 'many'>,
    private readonly runs: () => Pick<JobRuns, 'get'>,
  ) {}

  /** @returns what ends it */
  watch(id: string, listener: (job: Job) => void): () => void {
    this.changes.on(id, listener);
    this.timer ??= setInterval(() => void this.look(), LOOK_MS).unref();
    return () => {
      this.changes.off(id, listener);
      if (this.changes.listenerCount(id) === 0) {
        this.told.delete(id);
      }
      if (this.changes.eventNames().length === 0) {
        this.close();
      }
    };
  }

  tell(job: Job): void {
    if (this.changes.listenerCount(job.id) > 0) {
      this.told.set(job.id, briefOf(job));
      this.changes.emit(job.id, job);
    }
  }

  /** A job that somebody may watch has changed, here or elsewhere. */
  changed(id: string): void {
    if (this.changes.listenerCount(id) > 0) {
      void this.look();
    }
  }

  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private async look(): Promise<void> {
    const ids = this.elsewhere();
    if (this.looking || ids.length === 0) {
      return;
    }
    this.looking = true;
    try {
      for (const row of await this.rows.many(ids)) {
        const job = fromStored(row);
        if (this.runs().get(job.id) === undefined && this.isNews(job)) {
          this.tell(job);
        }
      }
    } catch {
      // The database is away, which its holder tells; the next look is soon.
    } finally {
      this.looking = false;
    }
  }

  private elsewhere(): string[] {
    const ids = this.changes.eventNames() as string[];
    return ids.filter((id) => this.runs().get(id) === undefined);
  }

  private isNews(job: Job): boolean {
    const before = this.told.get(job.id);
    // A watcher that comes late is told nothing of a job that has ended before.
    return before === undefined ? true : before !== briefOf(job) && !wasFinished(before);
  }
}

function briefOf(job: Job): string {
  return JSON.stringify([isFinished(job), job.state, job.progress]);
}

function wasFinished(brief: string): boolean {
  return brief.startsWith('[true');
}
