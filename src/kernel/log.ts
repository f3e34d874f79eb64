/** Values for a log line, with units in the keys (`durationMs`, `readBytes`). */
export type LogFields = Readonly<Record<string, unknown>>;

/** Takes events: a static event name, and facts as fields, never secrets. */
export abstract class Log {
  /** Data or a promise at risk, or a bug. */
  abstract error(event: string, fields?: LogFields): void;
  /** The operator should look this week. */
  abstract warn(event: string, fields?: LogFields): void;
  /** A change of state that an operator would ask about. */
  abstract info(event: string, fields?: LogFields): void;
  /** For developers. */
  abstract debug(event: string, fields?: LogFields): void;
}

/** Drops everything. */
export class SilentLog extends Log {
  override error(): void {
    // Nobody listens.
  }

  override warn(): void {
    // Nobody listens.
  }

  override info(): void {
    // Nobody listens.
  }

  override debug(): void {
    // Nobody listens.
  }
}
