import { Log, type LogFields } from '../../kernel/log.ts';
import { plainText } from './plain-text.ts';
import type { TextSink } from './terminal.ts';

/** Shows the user what a log would keep: warnings and errors, one line each. */
export class TerminalLog extends Log {
  /** What each terminal was shown: a command that opens a vault twice says nothing twice. */
  private static readonly told = new WeakMap<TextSink, Set<string>>();
  private readonly sink: TextSink;

  constructor(sink: TextSink) {
    super();
    this.sink = sink;
  }

  override error(event: string, fields?: LogFields): void {
    this.warn(event, fields);
  }

  /** Shows `vault.point-damaged` as `note: vault point damaged (code vault.point-corrupt)`. */
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
    // Not for users.
  }

  override debug(): void {
    // Not for users.
  }
}
