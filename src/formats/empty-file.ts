import { PRIVATE_FILE_MODE } from '../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../kernel/fault.ts';
import { constants, open, type FileHandle } from '../kernel/files/files.ts';
import { onFile } from './file-fault.ts';
import { assertImagePath } from './image-layer.ts';

const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

/**
 * Opens an empty file for filling, and makes it if it is missing. Does not follow a symbolic link:
 * in a folder that others may write it can lead anywhere, even to where no file is yet.
 *
 * @throws Fault `formats.image-exists` if the file is not empty, or the name is not that of a file
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
