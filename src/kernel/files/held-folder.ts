import { constants, open, stat, type FileHandle } from './files.ts';

/** Who owns an entry of the file system, and who may change it. */
export interface Rights {
  readonly uid: number;
  readonly mode: number;
}

const WRITABLE_BY_OTHERS = 0o022;
const WRITABLE_BY_ALL = 0o002;
const STICKY = 0o1000;
const ROOT = 0;

/**
 * A folder that stays the one that was opened, whatever is put under its name later. Its entries
 * are reached through the descriptor, so their paths are short however deep the folder lies: a
 * socket in it never exceeds the limit of 107 bytes.
 */
export class HeldFolder implements AsyncDisposable {
  private readonly handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.handle = handle;
  }

  /** @throws the system's error; ENOTDIR or ELOOP for a symbolic link */
  static async open(path: string): Promise<HeldFolder> {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
    return new HeldFolder(await open(path, flags));
  }

  /**
   * Returns the path of the entry `name`, or of the folder itself; valid until the folder is
   * closed.
   */
  inside(name = ''): string {
    return `/proc/self/fd/${String(this.handle.fd)}/${name}`;
  }

  async rights(): Promise<Rights> {
    return await this.handle.stat();
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

export function ownUserId(): number {
  return process.getuid?.() ?? ROOT;
}

/** Returns why something cannot be trusted as made by our user or root; undefined if it can. */
export function distrust({ uid, mode }: Rights): string | undefined {
  if (uid !== ownUserId() && uid !== ROOT) {
    return `belongs to the user ${String(uid)}`;
  }
  return (mode & WRITABLE_BY_OTHERS) === 0 ? undefined : 'can be written by other users';
}

/** Whether everybody may rename and remove the files of others in a folder. */
export async function isOpenToAll(folder: string): Promise<boolean> {
  const { mode } = await stat(folder);
  return (mode & WRITABLE_BY_ALL) !== 0 && (mode & STICKY) === 0;
}
