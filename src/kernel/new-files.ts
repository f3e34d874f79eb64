import { link, lstat, rename, rm, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from './durable-file.ts';
import { Fault, systemCode } from './fault.ts';

const SUFFIX = '.partial';

/**
 * Files that are written as `NAME.partial` and get their names when all of them are whole. Disposing
 * without `publish` removes them, so nothing half-written lies under a name that somebody could
 * believe. No file that is there is ever replaced.
 */
export class NewFiles implements AsyncDisposable {
  private readonly paths: string[] = [];

  /** @throws Fault `target.exists` if one of the files, or one that a stopped restore left, is there */
  static async refuseExisting(paths: readonly string[]): Promise<void> {
    for (const path of paths.flatMap((name) => [name, name + SUFFIX])) {
      if (await exists(path)) {
        throw taken(path);
      }
    }
  }

  /** Where to write what will be `path`. */
  add(path: string): string {
    this.paths.push(path);
    return path + SUFFIX;
  }

  /** Names all files, in the order they were added. */
  async publish(): Promise<void> {
    for (let path = this.paths[0]; path !== undefined; path = this.paths[0]) {
      await publishFile(path);
      this.paths.shift();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.paths) {
      await rm(path + SUFFIX, { force: true });
    }
  }
}

/** A link and not a rename, because a rename would replace a file that appeared meanwhile. */
async function publishFile(path: string): Promise<void> {
  try {
    await link(path + SUFFIX, path);
  } catch (error) {
    if (systemCode(error) === 'EEXIST' || (await exists(path))) {
      throw taken(path);
    }
    // File systems without hard links (FAT, some network ones): the name was free a moment ago.
    await rename(path + SUFFIX, path);
    await syncFolder(dirname(path));
    return;
  }
  await unlink(path + SUFFIX);
  await syncFolder(dirname(path));
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') {
      return false;
    }
    throw error;
  }
}

function taken(path: string): Fault {
  const why = path.endsWith(SUFFIX)
    ? 'A restore that was stopped left it; remove it or choose another place'
    : 'A restore never overwrites a file; choose another place';
  return new Fault('target.exists', `${path} is already there. ${why}.`, { path });
}
