import { SchedulingClock } from '../../../src/policies/runs/scheduling-clock.ts';

/** A clock of policies that a test sets; everything else has the real time. */
export class HandClock extends SchedulingClock {
  ms: number;
  /** Why nothing may fire. */
  wrong: string | undefined;

  constructor(start: string) {
    super();
    this.ms = Date.parse(start);
  }

  override nowMs(): number {
    return this.ms;
  }

  override async problem(): Promise<string | undefined> {
    return this.wrong;
  }

  set(time: string): void {
    this.ms = Date.parse(time);
  }

  pass(minutes: number): void {
    this.ms += minutes * 60_000;
  }
}
