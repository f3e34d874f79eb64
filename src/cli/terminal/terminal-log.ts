import { Log, type LogFields } from '../../kernel/log.ts';
import { plainText } from './plain-text.ts';
import { type TextSink } from './terminal.ts';

/** Tells the user what a log would keep: warnings and errors, one line each. */
export class TerminalLog extends Log {
  /** What was told on a terminal: a command that opens a vault twice tells nothing twice. */
  private static readonly told = new WeakMap<TextSink, Set<string>>();
  private readonly sink: TextSink;

  constructor(sink: TextSink) {
    super();
    this.sink = sink;
  }

  override error(event: string, fields?: LogFields): void {
    this.warn(event, fields);
  }

  /** `vault.point-damaged` becomes `note: vault point damaged (code vault.point-corrupt)`. */
  override warn(event: string, fields: LogFields = {}): void {
    const facts = Object.entries(fields).map(([name, value]) => `${name} ${String(value)}`);
    const words = event.replace(/[.-]/g, ' ');
    const shown = facts.length === 0 ? words : `${words} (${facts.join(', ')})`;
    const told = TerminalLog.told.get(this.sink) ?? new Set();
    if (!told.has(shown)) {
      TerminalLog.told.set(this.sink, told.add(shown));
      this.sink.write(`note: ${plainText(shown)}\n`);
    }
  }

  override info(): void {
    // Nobody asked.
  }

  override debug(): void {
    // Nobody asked.
  }
}
