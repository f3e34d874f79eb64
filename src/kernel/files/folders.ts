import { dirname } from 'node:path';
import { PRIVATE_FOLDER_MODE } from './durable-file.ts';
import { systemCode } from '../fault.ts';
import { mkdir, mkdirSync, stat, statSync } from './files.ts';

/*
 * Node's recursive mkdir never ends in a folder in which nothing can be made (/proc): the system
 * says ENOENT about the new name, and Node makes the folder above it, again and again. Here each
 * folder is tried only once more after those above it exist.
 */

/**
 * Makes the folder and missing folders above it, mode 0700.
 *
 * @param path absolute
 * @returns the outermost folder that was made; undefined if all existed
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

/** The same, synchronously, for code that must not yield, such as that of worker threads. */
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
    // An existing folder can fail with other errors: on a read-only file system.
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
    // The error of making it is the one to report.
    () => false,
  );
}
