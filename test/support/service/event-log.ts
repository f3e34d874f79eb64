import { Log } from '../../../src/kernel/log.ts';

/** Remembers the names of all events but those for developers. */
export class EventLog extends Log {
  readonly events: string[] = [];

  override error(event: string): void {
    this.events.push(event);
  }

  override warn(event: string): void {
    this.events.push(event);
  }

  override info(event: string): void {
    this.events.push(event);
  }

  override debug(): void {
    // Not of interest.
  }
}
