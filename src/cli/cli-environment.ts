import { type Clock } from '../kernel/clock.ts';
import { type Terminal } from './terminal/terminal.ts';

/** Which passphrase: of the vault, of its retention key, or one that is to be made. */
export type PassphraseName = 'vault' | 'retention' | 'new';

/** How to find the service. */
export interface ServiceSettings {
  /** HYPERKEEP_HOME: the socket of the service is in it. */
  readonly homeFolder: string;
  /** HYPERKEEP_URL and the token of that service, instead of the socket. */
  readonly remote?: { readonly url: string; readonly token: string };
}

/**
 * Everything a command needs from the outside: bound to the process in cli.ts, to buffers in tests.
 */
export interface CliEnvironment {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly version: string;
  readonly workingFolder: string;
  /** Folder for caches that may be deleted at any time. */
  readonly cacheFolder: string;
  /** HYPERKEEP_VAULT and HYPERKEEP_ENDPOINT: the vault of `rescue` unless the command names one. */
  readonly vaultDefaults?: { readonly vault?: string; readonly endpoint?: string };
  /** IANA name; without it the machine's own. */
  readonly timeZone?: string;
  /** Read when needed only: a wrong setting of the service must not stop a rescue. */
  readSettings(): ServiceSettings;
  /**
   * HYPERKEEP_PASSPHRASE or the content of HYPERKEEP_PASSPHRASE_FILE; or another one of these
   * settings.
   */
  readPassphrase(which?: PassphraseName): Promise<string | undefined>;
  /** Runs the service until `signal` fires. */
  serve(signal: AbortSignal): Promise<void>;
}
