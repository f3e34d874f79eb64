import { link, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PRIVATE_FILE_MODE, syncFolder } from '../kernel/durable-file.ts';
import { Fault, systemCode } from '../kernel/fault.ts';
import { fileFault, onFile } from './file-fault.ts';
import { assertImagePath } from './image-layer.ts';

/** File systems that know no second name for a file. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * A file under a temporary name beside the one that it will get. Nobody ever sees half of it under
 * its name, and no file that has the name is overwritten.
 */
export class PartFile {
  /** Where the file is now. */
  readonly path: string;
  private readonly target: string;
  private readonly inode: bigint;

  private constructor(target: string, path: string, inode: bigint) {
    this.target = target;
    this.path = path;
    this.inode = inode;
  }

  /** Makes the file, empty and private, and returns it open. What a crash has left there goes. */
  static async create(target: string): Promise<{ part: PartFile; file: FileHandle }> {
    assertImagePath(target);
    await assertFree(target);
    const path = `${target}.part`;
    const make = async (): Promise<FileHandle> => open(path, 'wx+', PRIVATE_FILE_MODE);
    const file = await make().catch(async (error: unknown) => {
      if (systemCode(error) !== 'EEXIST') {
        throw fileFault(path, error);
      }
      // If its writer still lives it fails when it publishes: the inode is not its own any more.
      await onFile(path, rm(path));
      return onFile(path, make());
    });
    const { ino } = await file.stat({ bigint: true });
    return { part: new PartFile(target, path, ino), file };
  }

  /**
   * Makes the content durable and gives the file its name. Nobody writes it any more.
   *
   * @throws Fault `formats.image-exists` when there is a file of that name by now,
   *   `formats.image-replaced` when somebody else began the same image
   */
  async publish(): Promise<void> {
    try {
      await this.rename();
    } catch (error) {
      await this.discard();
      throw error;
    }
    await syncFolder(dirname(this.target));
  }

  /** Removes the file, unless somebody else's has taken its place. */
  async discard(): Promise<void> {
    if ((await this.inodeNow()) === this.inode) {
      await rm(this.path, { force: true });
    }
  }

  private async rename(): Promise<void> {
    await this.assertOurs();
    await onFile(this.path, syncFile(this.path));
    try {
      await link(this.path, this.target);
      await rm(this.path);
    } catch (error) {
      if (!NO_LINKS.has(systemCode(error) ?? '')) {
        throw systemCode(error) === 'EEXIST' ? exists(this.target) : fileFault(this.path, error);
      }
      await assertFree(this.target);
      await onFile(this.path, rename(this.path, this.target));
    }
  }

  private async assertOurs(): Promise<void> {
    if ((await this.inodeNow()) !== this.inode) {
      throw new Fault(
        'formats.image-replaced',
        `Somebody else began to write ${this.target}; this attempt is given up.`,
        { path: this.target },
      );
    }
  }

  private async inodeNow(): Promise<bigint | undefined> {
    const facts = await stat(this.path, { bigint: true }).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') {
        throw fileFault(this.path, error);
      }
      return undefined;
    });
    return facts?.ino;
  }
}

async function syncFile(path: string): Promise<void> {
  await using file = await open(path, 'r');
  await file.sync();
}

async function assertFree(path: string): Promise<void> {
  const found = await stat(path).then(
    () => true,
    (error: unknown) => {
      if (systemCode(error) !== 'ENOENT') {
        throw fileFault(path, error);
      }
      return false;
    },
  );
  if (found) {
    throw exists(path);
  }
}

function exists(path: string): Fault {
  return new Fault(
    'formats.image-exists',
    `There is a ${path} already. It was not touched; choose another name.`,
    { path },
  );
}
