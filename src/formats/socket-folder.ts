import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { systemCode } from '../kernel/fault.ts';
import { readdir, rm, rmdir } from '../kernel/files/files.ts';
import { HeldFolder, ownUserId } from '../kernel/files/held-folder.ts';
import { makeTemporaryFolder, temporaryPlaces } from '../kernel/files/temporary-folder.ts';
import { TOOL_UID } from './confinement.ts';

const PREFIX = 'hk-nbd-';
const RANDOM_CHARACTERS = 'XXXXXX';
const OTHERS = 0o077;
/** Owners of the folders that we make: root gives them to the user of confined tools. */
const MAKERS = ownUserId() === 0 ? [0, TOOL_UID] : [ownUserId()];

/**
 * Makes a private folder for one socket. Its name has our process id, so that folders of killed
 * processes can be recognized: making a folder removes them.
 *
 * @param fits whether the paths of sockets in such a folder are short enough
 */
export async function makeSocketFolder(fits: (folder: string) => boolean): Promise<string> {
  const prefix = `${PREFIX}${String(process.pid)}-`;
  const places = temporaryPlaces().filter((place) =>
    fits(join(place, `${prefix}${RANDOM_CHARACTERS}`)),
  );
  for (const place of places) {
    await sweep(place);
  }
  return makeTemporaryFolder(prefix, places.length === 0 ? ['/tmp'] : places);
}

/**
 * Removes folders of our dead processes, with sockets on which nobody listens. A folder with any
 * other file stays, and so does one that somebody else made under such a name.
 */
async function sweep(parent: string): Promise<void> {
  // A place that cannot be read is not ours.
  for (const name of await readdir(parent).catch(() => [])) {
    const owner = /^hk-nbd-(\d+)-/.exec(name)?.[1];
    if (owner !== undefined && !isAlive(Number(owner))) {
      // The folder is in use after all, not ours, or already gone: all fine.
      await removeDead(join(parent, name)).catch(() => undefined);
    }
  }
}

/**
 * Checks and removes through the descriptor: a folder that was exchanged meanwhile is not touched.
 */
async function removeDead(path: string): Promise<void> {
  await using folder = await HeldFolder.open(path);
  const { uid, mode } = await folder.rights();
  if (!MAKERS.includes(uid) || (mode & OTHERS) !== 0) {
    return;
  }
  for (const entry of await readdir(folder.inside(), { withFileTypes: true })) {
    const socket = folder.inside(entry.name);
    if (entry.isSocket() && (await isDeaf(socket))) {
      await rm(socket);
    }
  }
  await rmdir(path);
}

/** Whether the server of a socket is gone. */
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
