import { PRIVATE_FILE_MODE } from '../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../kernel/fault.ts';
import { constants, open, type FileHandle } from '../kernel/files/files.ts';
import { onFile } from './file-fault.ts';
import { assertImagePath } from './image-layer.ts';

const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

/**
 * Opens an empty file to be filled, and makes it if there is none. A symbolic link is not followed:
 * in a folder that others may write it can lead anywhere, also to where there is no file yet.
 *
 * @throws Fault `formats.image-exists` when there is something in it, or the name is not that of a
 * file
 */
export async function openEmptyFile(path: string): Promise<FileHandle> {
  assertImagePath(path);
  const opening = open(path, FLAGS, PRIVATE_FILE_MODE).catch((error: unknown) => {
    if (systemCode(error) === 'ELOOP') {
      return undefined;
    }
    throw error;
  });
  const file = await onFile(path, opening);
  const facts = await file?.stat();
  if (file !== undefined && facts?.isFile() === true && facts.size === 0) {
    return file;
  }
  await file?.close();
  throw new Fault(
    'formats.image-exists',
    `There is a ${path} already. It was not touched; choose another name.`,
    { path },
  );
}
