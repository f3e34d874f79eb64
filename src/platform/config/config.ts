import { join } from 'node:path';
import { z } from 'zod';
import { bytes, GiB, KiB, MiB, type Bytes } from '../../kernel/text/bytes.ts';
import { readFileSync } from '../../kernel/files/files.ts';

const SIZE_UNITS = { KiB, MiB, GiB };
const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parses a size such as `64MiB`, to bytes. */
const Size = z
  .string()
  .regex(/^[1-9]\d{0,5}(KiB|MiB|GiB)$/, 'a size such as 64MiB')
  .transform((text): Bytes => {
    const unit = text.slice(-3) as keyof typeof SIZE_UNITS;
    return bytes(Number.parseInt(text, 10) * SIZE_UNITS[unit]);
  });

/** Parses a duration such as `30s`, to milliseconds. */
const Duration = z
  .string()
  .regex(/^[1-9]\d{0,5}(ms|s|m|h|d)$/, 'a duration such as 30s')
  .transform((text) => {
    const unit = text.replace(/^\d+/, '') as keyof typeof DURATION_UNITS;
    return Number.parseInt(text, 10) * DURATION_UNITS[unit];
  });

const AtOnce = z.coerce.number().int().min(1).max(1000);

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = 8480;

const Folder = z.string().regex(/^\/[^\0\n]*$/, 'an absolute path');

/**
 * Every setting. docs/configuration.md lists the same names; config.spec.ts checks it.
 * HYPERKEEP_PASSPHRASE is not here: see passphrase.ts.
 */
export const Environment = z.object({
  HYPERKEEP_HOME: Folder.optional(),
  HYPERKEEP_RUN: Folder.optional(),
  HTTP_HOST: z.union([z.ipv4(), z.ipv6()], 'an IP address').optional(),
  HTTP_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  LOG_LEVEL: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  JOBS_CONCURRENCY: z.coerce.number().int().min(1).max(16).default(2),
  JOBS_ALL_HOSTS: AtOnce.optional(),
  JOBS_PER_VAULT: AtOnce.optional(),
  JOBS_PER_VM: AtOnce.optional(),
  GUEST_COMMANDS: z.enum(['refused', 'allowed']).default('refused'),
  STORE_PATIENCE: Duration.prefault('10m'),
  COLLECTOR_KEEP_POINTS: z.coerce.number().int().min(1).max(10_000).default(7),
  COLLECTOR_KEEP_YOUNGER: Duration.prefault('7d'),
  COLLECTOR_DAILY_SHARE: z.coerce.number().int().min(1).max(100).default(25),
  COLLECTOR_LOOK_EVERY: Duration.prefault('1h'),
  COLLECTOR_PRUNE_EVERY: Duration.prefault('1d'),
  VERIFY_NEW_POINTS: z.enum(['on', 'off']).default('on'),
  VERIFY_NEW_BYTES: Size.prefault('16GiB'),
  RUNS_KEPT: Duration.prefault('400d'),
  GONE_KEPT: Duration.prefault('400d'),
  VAULT_PACK_SIZE: Size.refine(
    (size) => size >= 16 * MiB && size <= 128 * MiB,
    'between 16MiB and 128MiB',
  ).prefault('64MiB'),
});

export interface Config {
  /** Folder for everything the service keeps on this host. */
  readonly home: string;
  /** Folder for sockets; short, because socket paths are limited to about 100 bytes. */
  readonly runFolder: string;
  /** Undefined: nothing listens on a network, and the command line uses the socket in the home. */
  readonly http?: { readonly host: string; readonly port: number };
  /** Without `url` the service runs a PostgreSQL of its own. */
  readonly database: { readonly url?: string };
  readonly log: { readonly level: 'error' | 'warn' | 'info' | 'debug' };
  /** How many backups and verifications run at once, and so many restores beside them. */
  readonly jobs: {
    readonly concurrency: number;
    readonly allHosts?: number | undefined;
    readonly perVault?: number | undefined;
    readonly perVm?: number | undefined;
  };
  /** `guestCommands`: whether policies may name commands that run inside guests. */
  readonly policies: { readonly guestCommands: boolean };
  /** For `serve --role collector`. */
  readonly collector: {
    readonly floors: {
      readonly points: number;
      readonly youngMs: number;
      readonly dailyShare: number;
    };
    readonly times: { readonly lookMs: number; readonly pruneMs: number };
  };
  /** Whether new points are verified, and how much that may read of each. */
  readonly verification: { readonly isOn: boolean; readonly bytes: number };
  /** How long the database keeps runs, and VMs and hosts that are gone. */
  readonly kept: { readonly runsMs: number; readonly goneMs: number };
  readonly vault: { readonly storePatienceMs: number; readonly packSize: Bytes };
}

/** Whose settings these are: root's service is in /var/lib, a person's in the home folder. */
export interface Owner {
  readonly userId: number;
  readonly homeFolder: string;
}

/** Environment variables of the process. */
export type EnvironmentVariables = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings once, at start. Reports all wrong settings together, by name and never by
 * value, because a value may be a secret.
 */
export function readConfig(environment: EnvironmentVariables, owner: Owner): Config {
  const { data: env, error } = Environment.safeParse(withFiles(environment));
  if (error) {
    const problems = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new Error(`Wrong settings:\n  ${problems.join('\n  ')}`);
  }
  const root = owner.userId === 0;
  const home =
    env.HYPERKEEP_HOME ??
    (root ? '/var/lib/hyperkeep' : join(owner.homeFolder, '.local/share/hyperkeep'));
  return {
    home,
    runFolder: env.HYPERKEEP_RUN ?? join(home, 'run'),
    ...httpOf(env),
    database: env.DATABASE_URL === undefined ? {} : { url: env.DATABASE_URL },
    log: { level: env.LOG_LEVEL },
    jobs: {
      concurrency: env.JOBS_CONCURRENCY,
      allHosts: env.JOBS_ALL_HOSTS,
      perVault: env.JOBS_PER_VAULT,
      perVm: env.JOBS_PER_VM,
    },
    policies: { guestCommands: env.GUEST_COMMANDS === 'allowed' },
    collector: {
      floors: {
        points: env.COLLECTOR_KEEP_POINTS,
        youngMs: env.COLLECTOR_KEEP_YOUNGER,
        dailyShare: env.COLLECTOR_DAILY_SHARE / 100,
      },
      times: { lookMs: env.COLLECTOR_LOOK_EVERY, pruneMs: env.COLLECTOR_PRUNE_EVERY },
    },
    verification: { isOn: env.VERIFY_NEW_POINTS === 'on', bytes: env.VERIFY_NEW_BYTES },
    kept: { runsMs: env.RUNS_KEPT, goneMs: env.GONE_KEPT },
    vault: { storePatienceMs: env.STORE_PATIENCE, packSize: env.VAULT_PACK_SIZE },
  };
}

/** Returns the TCP address if either setting asks for one. */
function httpOf({
  HTTP_HOST: host,
  HTTP_PORT: port,
}: z.output<typeof Environment>): Pick<Config, 'http'> {
  return host === undefined && port === undefined
    ? {}
    : { http: { host: host ?? DEFAULT_HOST, port: port ?? DEFAULT_PORT } };
}

/** Supports `DATABASE_URL_FILE`, which names a file with DATABASE_URL, as Docker mounts secrets. */
function withFiles(environment: EnvironmentVariables): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && value !== '') {
      values[name] = value;
    }
  }
  const file = values['DATABASE_URL_FILE'];
  if (file !== undefined && values['DATABASE_URL'] === undefined) {
    values['DATABASE_URL'] = readFileSync(file, 'utf8').trim();
  }
  return values;
}
