import { Fault } from '../kernel/fault.ts';
import type { CliEnvironment } from './cli-environment.ts';
import type { Outcome } from './outcome.ts';
import { plainText } from './terminal/plain-text.ts';
import { ProgressMeter } from './terminal/progress-meter.ts';
import { askYes, canAsk } from './terminal/prompt.ts';
import { formatTime } from './terminal/quantities.ts';
import { ServiceClient } from './service/service-client.ts';

export interface CommonOptions {
  readonly json?: boolean;
}

/** What every command shares: the outside world, the signal of Ctrl-C, and how to answer. */
export class Cli {
  readonly environment: CliEnvironment;
  readonly signal: AbortSignal;
  /** Of a command that was carried out. */
  exitCode = 0;

  constructor(environment: CliEnvironment, signal: AbortSignal) {
    this.environment = environment;
    this.signal = signal;
  }

  async service(): Promise<ServiceClient> {
    return await ServiceClient.locate(this.environment.readSettings(), this.signal, (sentence) => {
      this.say(sentence);
    });
  }

  /** Prints the result of a command: one document, or lines for people. */
  async answer(options: CommonOptions, work: Promise<Outcome>): Promise<void> {
    const { document, text, exitCode = 0 } = await work;
    this.exitCode = exitCode;
    const { output } = this.environment.terminal;
    output.write(options.json === true ? `${JSON.stringify(document, undefined, 2)}\n` : text);
  }

  /** Prints a sentence for the user on standard error. */
  say(sentence: string): void {
    this.environment.terminal.errors.write(`${plainText(sentence)}\n`);
  }

  /** Prints lines as they are; only for our own text. */
  sayLines(text: string): void {
    this.environment.terminal.errors.write(text);
  }

  meter(): ProgressMeter {
    return new ProgressMeter(this.environment.terminal.errors, this.environment.clock);
  }

  time(timeMs: number): string {
    return formatTime(timeMs, this.environment.timeZone);
  }

  /** Asks before something that cannot be undone, unless `--yes` answered already. */
  async confirm(question: string, options: { readonly yes?: boolean }): Promise<void> {
    if (options.yes === true) {
      return;
    }
    const { terminal } = this.environment;
    if (!canAsk(terminal)) {
      throw new Fault(
        'request.invalid',
        `${question} This needs a yes: run it in a terminal or add --yes.`,
      );
    }
    if (!(await askYes(terminal, question, this.signal))) {
      throw new Fault('request.invalid', 'Not confirmed. Nothing was changed.');
    }
  }
}
