import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fault, systemCode } from '../fault.ts';
import { chmod, mkdtemp } from './files.ts';
import { isOpenToAll } from './held-folder.ts';
import { PRIVATE_FOLDER_MODE } from './durable-file.ts';

/** Returns places for short-lived files, the one in the environment first. */
export function temporaryPlaces(): string[] {
  return [...new Set([tmpdir(), '/tmp', '/var/tmp', '/dev/shm'])];
}

/**
 * Makes a private folder for a short time, in the first place that accepts one and keeps it ours.
 *
 * @throws Fault of the first place, if none accepts it
 */
export async function makeTemporaryFolder(
  prefix: string,
  places: readonly string[] = temporaryPlaces(),
): Promise<string> {
  let refusal: unknown;
  for (const place of places) {
    try {
      if (await isOpenToAll(place)) {
        refusal ??= openPlace(place);
        continue;
      }
      const folder = await mkdtemp(join(place, prefix));
      await chmod(folder, PRIVATE_FOLDER_MODE);
      return folder;
    } catch (error) {
      if (systemCode(error) === undefined) {
        throw error;
      }
      refusal ??= error;
    }
  }
  throw refusal;
}

function openPlace(path: string): Fault {
  return new Fault(
    'file.denied',
    `${path} lets every user exchange what others have in it. Give it the sticky bit (chmod +t), or set TMPDIR to another folder.`,
    { path },
  );
}
