/** The time of day. Tests use a clock that stands still. */
export abstract class Clock {
  /** Milliseconds since the Unix epoch, UTC. May step back. */
  abstract nowMs(): number;

  /** Milliseconds from an arbitrary start; never steps back. For durations. */
  abstract monotonicMs(): number;
}

export class SystemClock extends Clock {
  override nowMs(): number {
    // eslint-disable-next-line no-restricted-properties -- the one place that reads the clock
    return Date.now();
  }

  override monotonicMs(): number {
    return performance.now();
  }
}
