import type { RunRows } from '../../catalog/run-rows.ts';
import type { Clock } from '../../kernel/clock.ts';

const CHECK_MS = 60_000;
const SAMPLES = 5;
/** Two services whose clocks differ more would disagree about what is due. */
const OFFSET_MS_MAX = 60_000;

/** The time by which policies fire. */
export abstract class SchedulingClock {
  /** Milliseconds since the Unix epoch, UTC. May step back. */
  abstract nowMs(): number;

  /** Returns why nothing may fire by this clock now; undefined if it can be trusted. */
  abstract problem(): Promise<string | undefined>;
}

/** The clock of this host, as long as that of the database, which all services share, agrees. */
export class ComparedClock extends SchedulingClock {
  private readonly clock: Clock;
  private readonly rows: Pick<RunRows, 'databaseMs'>;
  private checkedMs = -Infinity;
  private offsetMs = 0;

  constructor(clock: Clock, rows: Pick<RunRows, 'databaseMs'>) {
    super();
    this.clock = clock;
    this.rows = rows;
  }

  override nowMs(): number {
    return this.clock.nowMs();
  }

  override async problem(): Promise<string | undefined> {
    const nowMs = this.clock.monotonicMs();
    // A clock that is wrong is looked at each time: whoever corrects it does not wait.
    if (nowMs - this.checkedMs >= CHECK_MS || this.isWrong) {
      this.offsetMs = await this.medianOffset();
      this.checkedMs = nowMs;
    }
    return this.isWrong
      ? `the clock of this host differs by ${String(Math.round(this.offsetMs / 1000))} s from that of the database`
      : undefined;
  }

  private get isWrong(): boolean {
    return Math.abs(this.offsetMs) > OFFSET_MS_MAX;
  }

  private async medianOffset(): Promise<number> {
    const offsets: number[] = [];
    for (let sample = 0; sample < SAMPLES; sample++) {
      const before = this.clock.nowMs();
      const database = await this.rows.databaseMs();
      offsets.push((before + this.clock.nowMs()) / 2 - database);
    }
    return offsets.sort((a, b) => a - b)[(SAMPLES - 1) / 2] ?? 0;
  }
}
