import { Log, type LogFields } from '../../kernel/log.ts';

/** More lines than anybody reads: a client may repeat a request that fails for days. */
const LINES_MAX = 2000;

/** Writes JSON lines, but not without end. */
export class LineLog extends Log {
  private readonly sink: { write(line: string): unknown };
  private lines = 0;

  constructor(sink: { write(line: string): unknown }) {
    super();
    this.sink = sink;
  }

  override error(event: string, fields?: LogFields): void {
    this.write('error', event, fields);
  }

  override warn(event: string, fields?: LogFields): void {
    this.write('warn', event, fields);
  }

  override info(event: string, fields?: LogFields): void {
    this.write('info', event, fields);
  }

  override debug(): void {
    // For developers of the service.
  }

  private write(level: string, event: string, fields: LogFields = {}): void {
    this.lines += 1;
    if (this.lines <= LINES_MAX) {
      const shown = Object.entries(fields).map(([name, value]) => [
        name,
        value instanceof Error ? value.message : value,
      ]);
      this.sink.write(`${JSON.stringify({ level, event, ...Object.fromEntries(shown) })}\n`);
    }
  }
}
