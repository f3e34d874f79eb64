import { dirname } from 'node:path';
import { removeLeftover } from './leftover.ts';
import { PRIVATE_FILE_MODE, syncFolder } from './durable-file.ts';
import { Fault, systemCode } from '../fault.ts';
import { link, lstat, open, rename, rm, stat, type FileHandle } from './files.ts';

/** Suffix of a file until it is whole. */
export const PART_SUFFIX = '.part';

/** Errors of file systems that allow no second name for a file. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * A file under a temporary name beside its final one. Nobody ever sees half of it under its name,
 * and no existing file is overwritten.
 */
export class PartFile {
  /** Where the file is now. */
  readonly path: string;
  private readonly target: string;
  /** Open until the end, so that no other file gets the inode's number meanwhile. */
  private readonly file: FileHandle;

  private constructor(target: string, path: string, file: FileHandle) {
    this.target = target;
    this.path = path;
    this.file = file;
  }

  /**
   * Makes the file, empty and private. Removes what a stopped attempt has left there.
   *
   * @throws Fault `target.exists`, also if what is there is not ours; `target.replaced` if somebody
   *   else begins the file at the same time
   */
  static async create(target: string): Promise<PartFile> {
    await PartFile.refuseExisting(target);
    const path = `${target}${PART_SUFFIX}`;
    // If its writer is still alive, its publish fails: the inode is not its own any more.
    if ((await removeLeftover(path)) === 'not-ours') {
      throw new Fault(
        'target.exists',
        `${path} is already there and is no leftover of ours: another user or program made it. It was not touched; look what it is and remove it, or choose another place.`,
        { path },
      );
    }
    const file = await open(path, 'wx', PRIVATE_FILE_MODE).catch((error: unknown) => {
      throw systemCode(error) === 'EEXIST' ? replaced(target) : error;
    });
    return new PartFile(target, path, file);
  }

  /** @throws Fault `target.exists` */
  static async refuseExisting(target: string): Promise<void> {
    const found = await lstat(target).catch(absent);
    if (found !== undefined) {
      throw taken(target);
    }
  }

  /**
   * Makes the content durable and gives the file its name. Nobody may write it any more.
   *
   * @throws Fault `target.exists` if a file has that name by now, `target.replaced` if somebody
   *   else began the same file
   */
  async publish(): Promise<void> {
    await this.requireOurs();
    await this.file.sync();
    try {
      await link(this.path, this.target);
      await rm(this.path);
    } catch (error) {
      if (!NO_LINKS.has(systemCode(error) ?? '')) {
        throw systemCode(error) === 'EEXIST' ? taken(this.target) : error;
      }
      // FAT, and some network file systems: the name was free a moment ago.
      await PartFile.refuseExisting(this.target);
      await rename(this.path, this.target);
    }
    await syncFolder(dirname(this.target));
    await this.file.close();
  }

  /** @throws Fault `target.replaced` if somebody else began the same file */
  async requireOurs(): Promise<void> {
    if (!(await this.isOurs())) {
      throw replaced(this.target);
    }
  }

  /** Removes the file, unless somebody else's has taken its place. */
  async discard(): Promise<void> {
    if (await this.isOurs()) {
      await rm(this.path, { force: true });
    }
    await this.file.close();
  }

  private async isOurs(): Promise<boolean> {
    const { ino, dev } = await this.file.stat({ bigint: true });
    const there = await stat(this.path, { bigint: true }).catch(absent);
    return there?.ino === ino && there.dev === dev;
  }
}

function absent(error: unknown): undefined {
  if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'ENOTDIR') {
    throw error;
  }
  return undefined;
}

function replaced(path: string): Fault {
  return new Fault(
    'target.replaced',
    `Somebody else began to write ${path}; this attempt is given up.`,
    { path },
  );
}

function taken(path: string): Fault {
  return new Fault(
    'target.exists',
    `${path} is already there. A restore never overwrites a file; choose another place.`,
    { path },
  );
}
