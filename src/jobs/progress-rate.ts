import type { Progress } from '../kernel/progress.ts';
import type { JobProgress } from './job.ts';

/** The rate is that of the last ten seconds: calm enough to read, quick enough to show a stall. */
const WINDOW_MS = 10_000;
const SAMPLE_MS = 250;
/** A shorter history does not tell the time left. */
const HISTORY_MS_MIN = 1000;

interface Sample {
  readonly atMs: number;
  readonly doneBytes: number;
}

/** Adds a rate and the time left to reports of progress. */
export class ProgressRate {
  private phase = '';
  private samples: Sample[] = [];

  /** @param atMs monotonic milliseconds */
  add(progress: Progress, atMs: number): JobProgress {
    if (progress.phase !== this.phase) {
      this.phase = progress.phase;
      this.samples = [];
    }
    const newest = this.samples.at(-1);
    if (newest === undefined || atMs - newest.atMs >= SAMPLE_MS) {
      this.samples.push({ atMs, doneBytes: progress.doneBytes });
    }
    while (this.samples.length > 2 && atMs - (this.samples[0]?.atMs ?? atMs) > WINDOW_MS) {
      this.samples.shift();
    }
    const oldest = this.samples[0] ?? { atMs, doneBytes: progress.doneBytes };
    const elapsedMs = atMs - oldest.atMs;
    const gained = Math.max(0, progress.doneBytes - oldest.doneBytes);
    const rateBytesPerSecond = elapsedMs > 0 ? Math.round((gained * 1000) / elapsedMs) : 0;
    const left = Math.max(0, progress.totalBytes - progress.doneBytes);
    return {
      ...progress,
      rateBytesPerSecond,
      ...(rateBytesPerSecond > 0 && elapsedMs >= HISTORY_MS_MIN
        ? { secondsLeft: Math.ceil(left / rateBytesPerSecond) }
        : {}),
    };
  }
}
