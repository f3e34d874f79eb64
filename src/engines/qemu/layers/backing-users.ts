import { dirname, join, resolve } from 'node:path';
import { BACKING_FIELDS_BYTES, backingNameIn, isQcow2 } from '../../../disk/qcow2-start.ts';
import { systemCode } from '../../../kernel/fault.ts';
import { open, readdir, realpath } from '../../../kernel/files/files.ts';

/** An overlay that a person gave up for the image below it: see `unusedName` of accept-disks. */
const SET_ASIDE = /\.hk-\d+\.qcow2\.aside-\d{8}T\d{6}Z/;

/**
 * Finds an image beside `path` whose header names `path` as its backing file: writing to `path`
 * would destroy it. Files in `own` do not count, nor overlays that were set aside, because they
 * were written on an earlier content.
 */
export async function backingUserOf(
  path: string,
  own: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const target = await realpath(path);
  for (const folder of new Set([dirname(path), dirname(target)])) {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      signal.throwIfAborted();
      const file = join(folder, entry.name);
      if (!entry.isFile() || own.has(file) || file === target || SET_ASIDE.test(entry.name)) {
        continue;
      }
      const named = await backingFileOf(file);
      if (named !== undefined && (await isSameFile(named, target))) {
        return file;
      }
    }
  }
  return undefined;
}

/** Whether two names lead to one existing file. */
export async function isSameFile(one: string, other: string): Promise<boolean> {
  return Promise.all([realpath(one), realpath(other)]).then(
    ([first, second]) => first === second,
    () => false,
  );
}

/**
 * Returns the file that a qcow2 header names, relative to the folder of `path`; undefined for any
 * other file, and for one that cannot be read.
 */
export async function backingFileOf(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path, 'r');
    const header = Buffer.alloc(BACKING_FIELDS_BYTES);
    const { bytesRead } = await file.read(header, 0, header.length, 0);
    if (bytesRead < header.length || !isQcow2(header)) {
      return undefined;
    }
    const name = (await backingNameIn(file, header)) ?? '';
    return name === '' ? undefined : resolve(dirname(path), name.replace(/^file:/, ''));
  } catch (error) {
    if (systemCode(error) === undefined) {
      throw error;
    }
    return undefined;
  }
}
