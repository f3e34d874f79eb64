import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { plainEnvironment, requireStart } from '../command.ts';
import { PRIVATE_FILE_MODE } from './durable-file.ts';
import { Fault, systemCode } from '../fault.ts';
import { open, stat, type FileHandle } from './files.ts';

/** Exit code of flock(1) if somebody else holds the lock. */
const LOCK_TAKEN = 1;

/**
 * An exclusive lock on an open file, which the kernel frees when its holder dies in any way.
 *
 * Node has no fcntl, so flock(1) locks the file description that we opened and share with it: the
 * lock belongs to the description, stays when flock exits, and goes when our descriptor is closed.
 * No other child inherits the descriptor (Node opens with O_CLOEXEC). It excludes other processes
 * and other holders in this process alike.
 */
export class FileLock implements AsyncDisposable {
  private file: FileHandle | undefined;

  private constructor(file: FileHandle) {
    this.file = file;
  }

  /**
   * Takes the lock within `waitMs`; returns undefined if another holder kept it.
   *
   * @throws ENOENT if its folder is missing, or vanished during the wait
   */
  static async take(
    path: string,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<FileLock | undefined> {
    for (;;) {
      signal.throwIfAborted();
      const file = await open(path, 'a', PRIVATE_FILE_MODE);
      try {
        if (!(await lockDescription(file.fd, waitMs, signal))) {
          await file.close();
          return undefined;
        }
        if (await isFileOf(path, file)) {
          return new FileLock(file);
        }
        // Its holder removed the file meanwhile: a lock on it excludes nobody any more.
        await file.close();
      } catch (error) {
        await file.close();
        throw error;
      }
    }
  }

  /** Whether somebody holds the lock now; does not block anybody from taking it. */
  static async isTaken(path: string, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const file = await open(path, 'r').catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') {
        return undefined;
      }
      throw error;
    });
    try {
      return file !== undefined && !(await lockDescription(file.fd, 0, signal, '--shared'));
    } finally {
      await file?.close();
    }
  }

  async release(): Promise<void> {
    const { file } = this;
    this.file = undefined;
    await file?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** @throws ENOENT if the file is gone and its folder too */
async function isFileOf(path: string, file: FileHandle): Promise<boolean> {
  const [now, ours] = await Promise.all([stat(path), file.stat()]);
  return now.dev === ours.dev && now.ino === ours.ino;
}

async function lockDescription(
  fd: number,
  waitMs: number,
  signal: AbortSignal,
  kind: '--exclusive' | '--shared' = '--exclusive',
): Promise<boolean> {
  const patience = waitMs > 0 ? ['--timeout', String(waitMs / 1000)] : ['--nonblock'];
  // The child has the description as its descriptor 3.
  const child = spawn('flock', [kind, ...patience, '3'], {
    env: plainEnvironment(),
    stdio: ['ignore', 'ignore', 'ignore', fd],
    signal,
    killSignal: 'SIGKILL',
  });
  await requireStart(child, 'flock (util-linux)');
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  if (exitCode === 0 || exitCode === LOCK_TAKEN) {
    return exitCode === 0;
  }
  throw new Fault('command.failed', `flock failed (exit ${String(exitCode)}).`, { file: 'flock' });
}
