import { dirname } from 'node:path';
import { PRIVATE_FOLDER_MODE } from './durable-file.ts';
import { systemCode } from '../fault.ts';
import { mkdir, mkdirSync, stat, statSync } from './files.ts';

/*
 * The recursive mkdir of Node never ends where a folder exists in which nothing can be made
 * (/proc): there the system says ENOENT about the new name, and Node makes the folder above it,
 * again and again. Here each folder is tried once more after those above it are there, and that is
 * all.
 */

/**
 * Makes the folder and those above it that are missing, 0700. Returns the outermost that was made,
 * nothing if all were there.
 *
 * @param path absolute
 * @throws the system error, ENOENT where nothing can be made
 */
export async function makeFolders(path: string): Promise<string | undefined> {
  try {
    return await makeOne(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || dirname(path) === path) {
      throw error;
    }
  }
  const outermost = await makeFolders(dirname(path));
  const made = await makeOne(path);
  return outermost ?? made;
}

/** The same for code that must not give way, such as that of worker threads. */
export function makeFoldersSync(path: string): string | undefined {
  try {
    return makeOneSync(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || dirname(path) === path) {
      throw error;
    }
  }
  const outermost = makeFoldersSync(dirname(path));
  const made = makeOneSync(path);
  return outermost ?? made;
}

async function makeOne(path: string): Promise<string | undefined> {
  try {
    await mkdir(path, { mode: PRIVATE_FOLDER_MODE });
    return path;
  } catch (error) {
    // Whatever else may stand in the way of a folder that is there: a file system that is read
    // only.
    if (isWorthALook(error) && (await isFolder(path))) {
      return undefined;
    }
    throw error;
  }
}

function makeOneSync(path: string): string | undefined {
  try {
    mkdirSync(path, { mode: PRIVATE_FOLDER_MODE });
    return path;
  } catch (error) {
    if (isWorthALook(error) && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
      return undefined;
    }
    throw error;
  }
}

function isWorthALook(error: unknown): boolean {
  return !['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '');
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (facts) => facts.isDirectory(),
    // What stood in the way of making it is the error to tell.
    () => false,
  );
}
