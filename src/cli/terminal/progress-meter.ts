import { formatBytes } from '../../kernel/text/bytes.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Progress } from '../../kernel/progress.ts';
import { plainText } from './plain-text.ts';
import { formatDuration, formatRate } from './quantities.ts';
import type { TextSink } from './terminal.ts';

/** Shorter operations show no progress. */
const QUIET_MS = 2000;
const REDRAW_MS = 250;
/** A log gets a line this often; a terminal a redraw every `REDRAW_MS`. */
const LINE_MS = 5000;
/** The rate is that of the last ten seconds, so that it follows a network that slows down. */
const RATE_WINDOW_MS = 10_000;
const BAR_CELLS_MIN = 8;
const BAR_CELLS_MAX = 24;
const DEFAULT_COLUMNS = 80;
const CLEAR_LINE = '\r\u001b[K';

interface Sample {
  readonly timeMs: number;
  readonly doneBytes: number;
}

/**
 * Shows how far an operation is, its rate, and the time left: redraws one line on a terminal, and
 * prints a line every few seconds elsewhere. Dispose of it when the operation is over.
 */
export class ProgressMeter implements Disposable {
  private readonly sink: TextSink;
  private readonly clock: Clock;
  private readonly startMs: number;
  private readonly timer: NodeJS.Timeout;
  private latest: Progress | undefined;
  private samples: Sample[] = [];
  private drawnMs = -Infinity;
  private drawn = false;

  constructor(sink: TextSink, clock: Clock) {
    this.sink = sink;
    this.clock = clock;
    this.startMs = clock.monotonicMs();
    this.timer = setInterval(() => {
      this.tick();
    }, REDRAW_MS);
    this.timer.unref();
  }

  /** Notes the progress; cheap enough for every batch of data. */
  readonly report = (progress: Progress): void => {
    if (this.latest?.phase !== progress.phase) {
      this.samples = [];
    }
    this.latest = progress;
  };

  /** Draws if it is time to. A timer calls it. */
  tick(): void {
    const nowMs = this.clock.monotonicMs();
    if (this.latest === undefined) {
      return;
    }
    this.sample(nowMs, this.latest.doneBytes);
    const everyMs = this.sink.isTTY === true ? REDRAW_MS : LINE_MS;
    if (nowMs - this.startMs < QUIET_MS || nowMs - this.drawnMs < everyMs) {
      return;
    }
    this.drawnMs = nowMs;
    if (this.sink.isTTY === true) {
      const columns = (this.sink.columns ?? DEFAULT_COLUMNS) - 1; // The last column would wrap.
      this.sink.write(`${CLEAR_LINE}${this.line(this.latest, columns).slice(0, columns)}`);
      this.drawn = true;
    } else {
      this.sink.write(`${this.line(this.latest)}\n`);
    }
  }

  /** Removes the line from the terminal. */
  [Symbol.dispose](): void {
    clearInterval(this.timer);
    if (this.drawn) {
      this.sink.write(CLEAR_LINE);
      this.drawn = false;
    }
  }

  private sample(timeMs: number, doneBytes: number): void {
    this.samples.push({ timeMs, doneBytes });
    while (timeMs - (this.samples[0]?.timeMs ?? timeMs) > RATE_WINDOW_MS) {
      this.samples.shift();
    }
  }

  private rateBytesPerSecond(): number {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (first === undefined || last === undefined || last.timeMs - first.timeMs < REDRAW_MS) {
      return 0;
    }
    return Math.max(0, ((last.doneBytes - first.doneBytes) * 1000) / (last.timeMs - first.timeMs));
  }

  private line(progress: Progress, columns?: number): string {
    const { phase, doneBytes, totalBytes, counted, trouble } = progress;
    const amount = (value: number): string =>
      counted === undefined ? formatBytes(value) : String(value);
    const share = totalBytes > 0 ? Math.min(1, doneBytes / totalBytes) : 0;
    const unit = counted === undefined ? '' : ` ${counted}`;
    const parts =
      totalBytes > 0
        ? [
            `${String(Math.floor(share * 100))} %`,
            `${amount(doneBytes)} of ${amount(totalBytes)}${unit}`,
          ]
        : [`${amount(doneBytes)}${unit}`];
    if (trouble !== undefined) {
      return [plainText(phase), ...parts, plainText(trouble)].join('  ');
    }
    const rate = this.rateBytesPerSecond();
    parts.push(counted === undefined ? formatRate(rate) : `${rate.toFixed(1)}/s`);
    if (rate > 0 && totalBytes > doneBytes) {
      parts.push(`${formatDuration(((totalBytes - doneBytes) * 1000) / rate)} left`);
    }
    const name = plainText(phase);
    const room = (columns ?? 0) - [name, ...parts].join('  ').length - '  []'.length;
    const bar = room >= BAR_CELLS_MIN ? [drawBar(share, Math.min(room, BAR_CELLS_MAX))] : [];
    return [name, ...bar, ...parts].join('  ');
  }
}

function drawBar(share: number, cells: number): string {
  const full = Math.floor(share * cells);
  return `[${'#'.repeat(full)}${'.'.repeat(cells - full)}]`;
}
