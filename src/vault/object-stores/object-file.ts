import { dirname } from 'node:path';
import { PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE, syncFolder } from '../../kernel/durable-file.ts';
import { systemCode } from '../../kernel/fault.ts';
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
} from '../../kernel/files.ts';

/** One read of Node takes a signed 32-bit length, and aborts the process for a longer one. */
const READ_BYTES_MAX = 2 ** 30;

/** True when the error says that there is no such file, be it that one of its folders is a file. */
export function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '');
}

/** Writes a new file whose content is durable; its name is so once its folder is synced. */
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

/** Gives a file its final name, durably. Should that fail, the file is removed. */
export async function renameSynced(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    await rm(from, { force: true });
    throw error;
  }
  await syncFolder(dirname(to));
}

/** Bytes [start, end) of the file; objects never change, so they are all there. */
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
      // Somebody is cutting the file while we read. What is missing shows in the length.
      return data.subarray(0, done);
    }
    done += bytesRead;
  }
  return data;
}

/** Makes a folder unless it is there. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: PRIVATE_FOLDER_MODE });
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') {
      throw error;
    }
    // Another put was faster.
  }
}

/** The entries of a folder, in no order; none if there is no such folder. */
export async function readFolder(folder: string): Promise<Dirent[]> {
  return unlessMissing(readdir(folder, { withFileTypes: true }), []);
}

/** About the entry itself, if it is there: a symbolic link is not followed. */
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
