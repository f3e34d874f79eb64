import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { plainEnvironment, runCommand } from '../../kernel/command.ts';
import {
  PRIVATE_FILE_MODE,
  PRIVATE_FOLDER_MODE,
  writeDurably,
} from '../../kernel/files/durable-file.ts';
import { Fault } from '../../kernel/fault.ts';
import { chmod, readFile, realpath, rename, rm, writeFile } from '../../kernel/files/files.ts';
import { makeFolders } from '../../kernel/files/folders.ts';
import {
  choosePostgresOwner,
  giveTo,
  nothingIfMissing,
  openWayTo,
  type PostgresOwner,
} from './postgres-owner.ts';
import type { PostgresPrograms } from './postgres-programs.ts';

/** The database's superuser, unrelated to users of the host. */
export const DATABASE_USER = 'hyperkeep';

/** Where one database server keeps its files. */
export interface Cluster {
  readonly home: string;
  /** Belongs to PostgreSQL's user, with everything below. */
  readonly folder: string;
  readonly data: string;
  /**
   * Folder of its socket, beside the data. The path may exceed the limit for sockets: the server
   * finds it from its data folder, clients through a descriptor.
   */
  readonly socket: string;
  readonly owner: PostgresOwner;
}

function passwordPath(home: string): string {
  return join(home, 'postgres.password');
}

export async function readPassword(home: string): Promise<string> {
  const password = await readFile(passwordPath(home), 'utf8').catch(nothingIfMissing);
  if (password === undefined) {
    throw new Fault(
      'database.start-failed',
      `The database is there but its password file ${passwordPath(home)} is gone. Bring it back; ` +
        `or move ${join(home, 'postgres')} away, start with an empty database and import the vaults again.`,
      { home },
    );
  }
  return password;
}

export async function prepareFolders(givenHome: string): Promise<Cluster> {
  await makeFolders(givenHome);
  const home = await realpath(givenHome);
  const folder = join(home, 'postgres');
  const owner = await choosePostgresOwner(join(folder, 'data'));
  await openWayTo(home, owner);
  const socket = join(folder, 'socket');
  for (const path of [folder, socket]) {
    await makeFolders(path);
    await giveTo(path, owner);
    await chmod(path, PRIVATE_FOLDER_MODE);
  }
  return { home, folder, data: join(folder, 'data'), socket, owner };
}

export async function majorOfCluster({ data }: Cluster): Promise<number | undefined> {
  const text = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(nothingIfMissing);
  return text === undefined ? undefined : Number(text);
}

/**
 * Makes the cluster beside its place, and moves it there once it is whole. @returns the password
 */
export async function makeCluster(
  { home, folder, data, owner }: Cluster,
  programs: PostgresPrograms,
  signal: AbortSignal,
): Promise<string> {
  const draft = join(folder, 'data.draft');
  const passwordFile = join(folder, 'password.draft');
  await rm(draft, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  const password = randomBytes(24).toString('base64url');
  await writeDurably(passwordPath(home), password);
  await writeFile(passwordFile, password, { mode: PRIVATE_FILE_MODE, flag: 'wx' });
  await giveTo(passwordFile, owner);
  try {
    await runCommand(
      join(programs.folder, 'initdb'),
      [
        ...['-D', draft, '-U', DATABASE_USER, '-A', 'scram-sha-256', `--pwfile=${passwordFile}`],
        ...['--data-checksums', '--encoding=UTF8', '--locale=C'],
      ],
      signal,
      { workingFolder: folder, environment: environmentIn(folder), ...owner.ids },
    );
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(draft, data);
  return password;
}

export function environmentIn(folder: string): Record<string, string> {
  return { ...plainEnvironment(), HOME: folder };
}
