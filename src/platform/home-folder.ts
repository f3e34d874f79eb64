import { dirname, join } from 'node:path';
import { PRIVATE_FOLDER_MODE } from '../kernel/files/durable-file.ts';
import { Fault } from '../kernel/fault.ts';
import { chmod, readdir, realpath, stat } from '../kernel/files/files.ts';
import { makeFolders } from '../kernel/files/folders.ts';
import { FileLock } from '../kernel/files/file-lock.ts';
import { distrust, isOpenToAll, ownUserId } from '../kernel/files/held-folder.ts';

const LOCK_FILE = 'service.lock';
const CACHE_FOLDER = 'cache';

/**
 * Makes the folder for our user only, or accepts an existing one if nobody else could put anything
 * into it or in its place.
 * @throws Fault `service.home-shared`
 */
export async function makeOwnFolder(path: string): Promise<void> {
  const made = await makeFolders(path);
  if (made !== undefined) {
    await chmod(path, PRIVATE_FOLDER_MODE);
  }
  const real = await realpath(path);
  const facts = await stat(real);
  const reason = distrust(facts);
  if (reason !== undefined) {
    throw shared(real, reason);
  }
  if (facts.uid === ownUserId() && (await isOfTheService(real))) {
    await chmod(real, PRIVATE_FOLDER_MODE);
  }
  for (let folder = dirname(real); folder !== dirname(folder); folder = dirname(folder)) {
    if (await isOpenToAll(folder)) {
      throw shared(folder, 'lets every user move what is in it');
    }
  }
}

/**
 * Whether the folder has nothing but Hyperkeep's own files, so that others lose nothing if they may
 * no longer enter. The start of the command line may have made it for its cache.
 */
async function isOfTheService(path: string): Promise<boolean> {
  const names = await readdir(path);
  return names.includes(LOCK_FILE) || names.every((name) => name === CACHE_FOLDER);
}

function shared(path: string, reason: string): Fault {
  return new Fault(
    'service.home-shared',
    `${path} ${reason}. Nothing was put there. Give it to the user of the service and take the rights of others (chown, chmod go-w), or set HYPERKEEP_HOME and HYPERKEEP_RUN to other folders.`,
    { path },
  );
}

/**
 * Holds the home folder for this process. The kernel frees the lock however the process dies, and
 * only users who may open the file can take it.
 * @throws Fault `service.already-running`
 */
export async function holdHome(home: string, signal: AbortSignal): Promise<AsyncDisposable> {
  const lock = await FileLock.take(join(home, LOCK_FILE), 0, signal);
  if (lock === undefined) {
    throw new Fault(
      'service.already-running',
      `A service is running in ${home} already; stop it first, or set HYPERKEEP_HOME.`,
      { home },
    );
  }
  return lock;
}
