import { SchedulingClock } from '../../../src/policies/runs/scheduling-clock.ts';

/** Ten times as fast as the clock of the host: what policies wait for takes a tenth. */
const SPEED = 10;

/** The clock by which policies fire in a lab; everything else keeps the real time. */
export class TenfoldClock extends SchedulingClock {
  readonly #beganMs: number;

  /** @param beganMs when both clocks show the same, by that of the host */
  constructor(beganMs: number) {
    super();
    this.#beganMs = beganMs;
  }

  override nowMs(): number {
    return this.#beganMs + (Date.now() - this.#beganMs) * SPEED;
  }

  /** Nothing: that it differs from the database's is meant. */
  override async problem(): Promise<undefined> {
    return undefined;
  }
}
