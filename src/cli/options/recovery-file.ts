import { dirname, join, resolve } from 'node:path';
import { PRIVATE_FILE_MODE, syncFolder } from '../../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../../kernel/fault.ts';
import { open, readFile, rm, stat } from '../../kernel/files/files.ts';
import { makeFolders } from '../../kernel/files/folders.ts';
import { isExposed } from '../../kernel/files/secret-file.ts';

/**
 * The place for a recovery file, taken before the vault is created, so that a full disk or a
 * missing right shows early. Disposing of it without `write` leaves nothing.
 */
export class RecoveryFilePlace implements AsyncDisposable {
  readonly path: string;
  private written = false;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * @param option option that names the place on the command line
   * @throws Fault `target.exists`: a recovery file is never overwritten
   */
  static async reserve(path: string, option = '--recovery-file'): Promise<RecoveryFilePlace> {
    await makeFolders(dirname(path));
    try {
      await using handle = await open(path, 'wx', PRIVATE_FILE_MODE);
      await handle.sync();
    } catch (error) {
      if (systemCode(error) === 'EEXIST') {
        throw new Fault(
          'target.exists',
          `${path} is already there. Choose another place with ${option}: the old one may be the only key of another vault.`,
          { path },
        );
      }
      throw error;
    }
    return new RecoveryFilePlace(path);
  }

  /** Writes the content durably and reads it back. */
  async write(content: string): Promise<string> {
    {
      await using handle = await open(this.path, 'r+', PRIVATE_FILE_MODE);
      await handle.writeFile(content);
      await handle.sync();
    }
    await syncFolder(dirname(this.path));
    this.written = true;
    return await readFile(this.path, 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.written) {
      await rm(this.path, { force: true });
    }
  }
}

/**
 * Returns where the recovery file goes: the requested path, or the working folder. Never inside the
 * vault it opens: whoever has the vault must not have its key.
 */
export function recoveryFilePath(
  vault: { readonly name: string; readonly location: string },
  asked: string | undefined,
  workingFolder: string,
): string {
  const path = resolve(workingFolder, asked ?? join('.', `hyperkeep-recovery-${vault.name}.txt`));
  if (vault.location.startsWith('s3://')) {
    return path;
  }
  const folder = resolve(workingFolder, vault.location);
  if (path === folder || path.startsWith(`${folder}/`)) {
    throw new Fault(
      'request.invalid',
      `The recovery file must not lie inside the vault it opens (${folder}). Choose another place with --recovery-file.`,
    );
  }
  return path;
}

/**
 * Reads a recovery file that the user named. If others may read it, uses it all the same and says
 * so: it may be on a medium without modes, and this may be the day of the disaster.
 */
export async function readRecoveryFile(
  path: string,
  say: (sentence: string) => void,
): Promise<string> {
  const refused = (what: string, cause?: unknown): Fault =>
    new Fault('request.invalid', what, { path }, { cause });
  try {
    const facts = await stat(path);
    if (facts.size > RECOVERY_FILE_BYTES_MAX) {
      throw refused(`${path} is too large to be a recovery file.`);
    }
    const content = await readFile(path, 'utf8');
    if (content.trim() === '') {
      throw refused(`The recovery file ${path} is empty. Bring back the printed or stored one.`);
    }
    if (facts.isFile() && isExposed(facts.mode)) {
      say(
        `Other users of this machine can read the recovery file ${path}, and with it the vault: chmod 600 it, or take it off this machine afterwards.`,
      );
    }
    return content;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      throw refused(`There is no recovery file ${path}.`, error);
    }
    throw error;
  }
}

const RECOVERY_FILE_BYTES_MAX = 64 * 1024;

/** Returns what to tell the user after the file was written. */
export function recoveryAdvice(path: string): string {
  return (
    `Recovery file: ${path}\n` +
    '  Print it and put the paper away, then delete the file or move it off this machine.\n' +
    '  It opens the vault without the passphrase. Without it and without the passphrase nobody can restore anything.\n'
  );
}
