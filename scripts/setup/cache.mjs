// The one folder outside the clone that set-up writes to. All of it can be deleted at any time.
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * `${XDG_CACHE_HOME:-~/.cache}/hyperkeep`, created; inside the clone when there is no home folder.
 */
export function cacheFolder(...names) {
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const wanted = join(base, 'hyperkeep', ...names);
  try {
    mkdirSync(wanted, { recursive: true });
    return wanted;
  } catch (error) {
    // A service account without a home folder: the clone itself is the next best place.
    if (!['EACCES', 'EROFS', 'ENOENT', 'EPERM', 'ENOTDIR'].includes(error.code)) {
      throw error;
    }
    const inClone = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'hyperkeep');
    const fallback = join(inClone, ...names);
    mkdirSync(fallback, { recursive: true });
    return fallback;
  }
}

/** Writes a whole file, or none: readers and other writers may be there. */
export function replaceFile(path, text) {
  const draft = `${path}.${process.pid}.tmp`;
  writeFileSync(draft, text);
  renameSync(draft, path);
}

const LOCK_POLL_MS = 200;

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** True when the lock's owner is gone: its process ended, or it died before writing who it was. */
function isAbandoned(folder) {
  try {
    const [host, pid] = readFileSync(join(folder, 'owner'), 'utf8').split(' ');
    return host === hostname() && !isAlive(Number(pid));
  } catch (error) {
    if (error.code !== 'ENOENT') {
      throw error;
    }
    const age = Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    return age > 10_000;
  }
}

/** Renames first: of two processes that see the dead owner, only one may take the lock away. */
function removeAbandoned(folder) {
  const grave = `${folder}.${process.pid}.dead`;
  try {
    renameSync(folder, grave);
    rmSync(grave, { recursive: true, force: true });
  } catch (error) {
    if (error.code !== 'ENOENT') {
      throw error;
    }
  }
}

/**
 * Runs `work` while no other process of this cache holds the lock `name`.
 *
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(name, work) {
  const folder = join(cacheFolder('locks'), name);
  for (let waited = 0; ; waited += LOCK_POLL_MS) {
    try {
      mkdirSync(folder);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') {
        throw error;
      }
    }
    if (isAbandoned(folder)) {
      removeAbandoned(folder);
      continue;
    }
    if (waited === 0) {
      console.log(`Waiting for another set-up to finish (${folder})`);
    }
    await delay(LOCK_POLL_MS);
  }
  try {
    writeFileSync(join(folder, 'owner'), `${hostname()} ${process.pid}`);
    return await work();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
