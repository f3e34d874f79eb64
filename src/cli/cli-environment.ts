import type { Clock } from '../kernel/clock.ts';
import type { Terminal } from './terminal/terminal.ts';

/** Which passphrase: of the vault, of its retention key, or a new one. */
export type PassphraseName = 'vault' | 'retention' | 'new';

/** How to find the service. */
export interface ServiceSettings {
  /** HYPERKEEP_HOME: the folder with the socket of the service. */
  readonly homeFolder: string;
  /** HYPERKEEP_URL and the token of that service, instead of the socket. */
  readonly remote?: { readonly url: string; readonly token: string };
}

export interface ServeHow {
  /** Does only what this role does. */
  readonly role?: 'collector' | undefined;
  /** Waits until services of older versions have left the database. */
  readonly waitsForOlder: boolean;
}

/** Everything a command needs from outside: bound to the process in cli.ts, to buffers in tests. */
export interface CliEnvironment {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly version: string;
  readonly workingFolder: string;
  /** Folder for caches that anybody may delete at any time. */
  readonly cacheFolder: string;
  /** HYPERKEEP_VAULT and HYPERKEEP_ENDPOINT: the vault of `rescue` unless the command names one. */
  readonly vaultDefaults?: { readonly vault?: string; readonly endpoint?: string };
  /** IANA name; default: the zone of this machine. */
  readonly timeZone?: string;
  /** Read only when needed: a wrong setting of the service must not stop a rescue. */
  readSettings(): ServiceSettings;
  /**
   * Reads HYPERKEEP_PASSPHRASE or the content of HYPERKEEP_PASSPHRASE_FILE, or the settings for
   * another passphrase.
   */
  readPassphrase(which?: PassphraseName): Promise<string | undefined>;
  /** Runs the service until `signal` fires. */
  serve(signal: AbortSignal, how: ServeHow): Promise<void>;
}
