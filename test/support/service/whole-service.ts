import { EventEmitter, once } from 'node:events';
import { serve, type ServeOptions } from '../../../src/main.ts';
import { readConfig } from '../../../src/platform/config/config.ts';

export interface LogLine {
  readonly event: string;
  readonly level: string;
  readonly http?: string;
  readonly [field: string]: unknown;
}

/**
 * A whole service in this process, with its claim on the database at `url`; what it says can be
 * waited for.
 */
export class WholeService {
  readonly log: LogLine[] = [];
  readonly said: string[] = [];
  readonly abort = new AbortController();
  readonly ended: Promise<void>;
  readonly home: string;
  private readonly heard = new EventEmitter().setMaxListeners(0);

  /**
   * @param settings environment variables of the service
   * @param more of what `serve` takes
   */
  constructor(
    settings: Readonly<Record<string, string>>,
    more: Pick<ServeOptions, 'schedulingClock' | 'waitsForOlder'> = {},
  ) {
    const { HYPERKEEP_HOME: home = '' } = settings;
    this.home = home;
    // Its jobs would come between those that a test counts.
    const quiet = { VERIFY_NEW_POINTS: 'off', ...settings };
    const config = readConfig(quiet, { userId: 1000, homeFolder: home });
    const output = {
      write: (text: string) => {
        this.said.push(text);
        this.heard.emit('heard');
      },
    };
    const errors = {
      write: (line: string) => {
        this.log.push(JSON.parse(line) as LogLine);
        this.heard.emit('heard');
      },
    };
    this.ended = serve({ config, version: '1.2.3', output, errors, ...more }, this.abort.signal);
    this.ended.catch(() => this.heard.emit('heard'));
  }

  /** Lines of the log with one of these events. */
  events(...names: readonly string[]): LogLine[] {
    return this.log.filter(({ event }) => names.includes(event));
  }

  /** Looks again whenever the service says something. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await Promise.race([once(this.heard, 'heard'), this.ended]);
    }
  }

  async started(): Promise<void> {
    await this.until(() => this.events('service.started').length > 0);
  }

  async stop(): Promise<void> {
    this.abort.abort();
    await this.ended;
  }
}
