import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { PRIVATE_FILE_MODE } from '../kernel/durable-file.ts';
import { Fault } from '../kernel/fault.ts';
import { onFile } from './file-fault.ts';
import { assertImagePath } from './image-layer.ts';

/**
 * Opens an empty file to be filled, and makes it if there is none.
 *
 * @throws Fault `formats.image-exists` when there is something in it
 */
export async function openEmptyFile(path: string): Promise<FileHandle> {
  assertImagePath(path);
  const flags = constants.O_RDWR | constants.O_CREAT;
  const file = await onFile(path, open(path, flags, PRIVATE_FILE_MODE));
  const facts = await file.stat();
  if (facts.isFile() && facts.size === 0) {
    return file;
  }
  await file.close();
  throw new Fault(
    'formats.image-exists',
    `There is a ${path} already. It was not touched; choose another name.`,
    { path },
  );
}
