import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { open, rename, rm, type FileHandle } from './files.ts';

/** Readable and writable by the owner alone. */
export const PRIVATE_FILE_MODE = 0o600;
export const PRIVATE_FOLDER_MODE = 0o700;

/** Makes the names in `folder` durable: entries added or removed so far survive a power loss. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

/**
 * Replaces `path` with `content` so that a reader, or the next start after a crash, sees the old or
 * the new content and never a part. Durable when it returns. Mode 0600.
 */
export async function writeDurably(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx', PRIVATE_FILE_MODE);
    await handle.writeFile(content);
    await handle.sync();
    await handle.close();
    handle = undefined;
    await rename(temporary, path);
  } catch (error) {
    await handle?.close();
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}
