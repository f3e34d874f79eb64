import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PRIVATE_FOLDER_MODE } from '../kernel/durable-file.ts';
import { systemCode } from '../kernel/fault.ts';
import { chmod, mkdtemp, readdir, rm, rmdir } from '../kernel/files.ts';

const PREFIX = 'hk-nbd-';
const RANDOM_CHARACTERS = 'XXXXXX';

/**
 * Makes a private folder for one socket. Its name carries our process id, so that what a killed
 * process left is known: such folders go when the next one is made.
 *
 * @param fits whether sockets in a folder of that path stay within the limit of their length
 */
export async function makeSocketFolder(fits: (folder: string) => boolean): Promise<string> {
  const prefix = `${PREFIX}${String(process.pid)}-`;
  const parent = fits(join(tmpdir(), `${prefix}${RANDOM_CHARACTERS}`)) ? tmpdir() : '/tmp';
  await sweep(parent);
  const folder = await mkdtemp(join(parent, prefix));
  await chmod(folder, PRIVATE_FOLDER_MODE);
  return folder;
}

/**
 * Removes the folders of processes that are gone with the sockets that nobody listens on any more;
 * whatever holds another file stays.
 */
async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const owner = /^hk-nbd-(\d+)-/.exec(name)?.[1];
    if (owner !== undefined && !isAlive(Number(owner))) {
      // In use after all, not ours, or gone already: none of it matters to us.
      await removeDead(join(parent, name)).catch(() => undefined);
    }
  }
}

async function removeDead(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isSocket() && (await isDeaf(path))) {
      await rm(path);
    }
  }
  await rmdir(folder);
}

/** True when the server of a socket is gone. */
async function isDeaf(path: string): Promise<boolean> {
  const socket = connect({ path });
  try {
    await once(socket, 'connect');
    return false;
  } catch (error) {
    return systemCode(error) === 'ECONNREFUSED';
  } finally {
    socket.destroy();
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== 'ESRCH';
  }
}
