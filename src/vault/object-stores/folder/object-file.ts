import { dirname } from 'node:path';
import {
  PRIVATE_FILE_MODE,
  PRIVATE_FOLDER_MODE,
  syncFolder,
} from '../../../kernel/files/durable-file.ts';
import { systemCode } from '../../../kernel/fault.ts';
import {
  type Dirent,
  type Stats,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  type FileHandle,
} from '../../../kernel/files/files.ts';

/** Node reads with a signed 32-bit length, and aborts the process for a longer read. */
const READ_BYTES_MAX = 2 ** 30;

/** True if the error says that there is no such file, or that one of its folders is a file. */
export function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '');
}

/**
 * Writes a new file and makes its content durable. Its name is durable once its folder is synced.
 */
export async function writeSynced(
  path: string,
  data: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'wx', PRIVATE_FILE_MODE);
    await handle.writeFile(data, { signal });
    await handle.sync();
    await handle.close();
    handle = undefined;
  } catch (error) {
    await handle?.close();
    await rm(path, { force: true });
    throw error;
  }
}

/** Gives a file its final name, durably. If that fails, removes the file. */
export async function renameSynced(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    await rm(from, { force: true });
    throw error;
  }
  await syncFolder(dirname(to));
}

/** Reads bytes [start, end) of the file. Objects never change, so all of them are there. */
export async function readExactly(
  handle: FileHandle,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const data = Buffer.allocUnsafeSlow(end - start);
  let done = 0;
  while (done < data.length) {
    const length = Math.min(data.length - done, READ_BYTES_MAX);
    const { bytesRead } = await handle.read(data, done, length, start + done);
    if (bytesRead === 0) {
      // The file was shortened during the read. The length of the result shows it.
      return data.subarray(0, done);
    }
    done += bytesRead;
  }
  return data;
}

/** Makes a folder if there is none. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: PRIVATE_FOLDER_MODE });
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') {
      throw error;
    }
    // Another put made the file first.
  }
}

/** Returns the entries of a folder, in no order; none if there is no such folder. */
export async function readFolder(folder: string): Promise<Dirent[]> {
  return unlessMissing(readdir(folder, { withFileTypes: true }), []);
}

/** Returns the status of the entry itself, if there is one: does not follow a symbolic link. */
export async function statIfThere(path: string): Promise<Stats | undefined> {
  return unlessMissing(lstat(path), undefined);
}

async function unlessMissing<Found, Missing>(
  answer: Promise<Found>,
  missing: Missing,
): Promise<Found | Missing> {
  try {
    return await answer;
  } catch (error) {
    if (isMissing(error)) {
      return missing;
    }
    throw error;
  }
}
