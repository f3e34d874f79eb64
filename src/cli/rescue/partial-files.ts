import { link, lstat, rename, rm, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from '../../kernel/durable-file.ts';
import { Fault, systemCode } from '../../kernel/fault.ts';

const SUFFIX = '.partial';

/**
 * Files that are being written under another name (`….partial`) and get their own names together,
 * when all of them are whole. Disposing without `publish` removes them: nothing half-written is
 * left under a name that somebody could believe.
 */
export class PartialFiles implements AsyncDisposable {
  private readonly paths: string[] = [];

  /** @throws Fault `target.exists` if the file, or one left by a stopped restore, is there */
  static async refuseExisting(paths: readonly string[]): Promise<void> {
    for (const path of paths.flatMap((final) => [final, final + SUFFIX])) {
      if (await isThere(path)) {
        throw exists(path);
      }
    }
  }

  /** The name to write `path` under for now. */
  add(path: string): string {
    this.paths.push(path);
    return path + SUFFIX;
  }

  /** Gives all files their names, in the order they were added. Never replaces a file. */
  async publish(): Promise<void> {
    while (this.paths[0] !== undefined) {
      const path = this.paths[0];
      await publishFile(path + SUFFIX, path);
      this.paths.shift();
      await syncFolder(dirname(path));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.paths) {
      await rm(path + SUFFIX, { force: true });
    }
  }
}

async function publishFile(partial: string, path: string): Promise<void> {
  try {
    await link(partial, path);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') {
      throw exists(path);
    }
    // File systems without hard links (FAT, some network ones): nobody else has our folder's new names.
    if (await isThere(path)) {
      throw exists(path);
    }
    await rename(partial, path);
    return;
  }
  await unlink(partial);
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      return false;
    }
    throw error;
  }
}

function exists(path: string): Fault {
  const why = path.endsWith(SUFFIX)
    ? 'A restore that was stopped left it; remove it or choose another folder'
    : 'A restore never overwrites a file; choose another folder with --to or another name with --as';
  return new Fault('target.exists', `${path} is already there. ${why}.`, { path });
}
