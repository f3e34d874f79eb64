import { SchedulingClock } from '../../src/policies/runs/scheduling-clock.ts';

const HOUR_MS = 3_600_000;
/** Of the real clock. More than the service's 5 s between two looks, so that it misses no hour. */
const DEMO_HOUR_MS = 6000;

/** The clock by which the demo's policy fires: it runs 600 times as fast as that of the host. */
export class FastClock extends SchedulingClock {
  /** When both clocks show the same, by that of the host. */
  readonly beganMs: number;

  constructor(beganMs: number) {
    super();
    this.beganMs = beganMs;
  }

  override nowMs(): number {
    return this.beganMs + (Date.now() - this.beganMs) * (HOUR_MS / DEMO_HOUR_MS);
  }

  /** Nothing: that it differs from the database's is meant. */
  override async problem(): Promise<undefined> {
    return undefined;
  }

  /** Hours of the demo's day that have passed. */
  get hours(): number {
    return (this.nowMs() - this.beganMs) / HOUR_MS;
  }
}

/** Returns a fire time as people write it. */
export function hourText(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(11, 16);
}
