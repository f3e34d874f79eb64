// Today's restic for the comparison: Debian 12 has that of 2022.
import { join } from 'node:path';
import { cacheFolder, withLock } from './cache.mjs';
import { findProgram } from './debian.mjs';
import { findGo, goInstall } from './go.mjs';
import { SetupError, seconds } from './run.mjs';

export const RESTIC_VERSION = '0.18.1';
const MODULE = `github.com/restic/restic/cmd/restic@v${RESTIC_VERSION}`;

function cached() {
  return join(cacheFolder('bin'), `restic-${RESTIC_VERSION}`);
}

/** Path of the program if an earlier set-up built it. */
export function findRestic() {
  return findProgram(cached());
}

/**
 * Builds it unless it is there. Without Go, or if the build fails, says so, and the comparison does
 * without: nothing else needs this program. @returns true if it did
 */
export async function ensureRestic() {
  if (findRestic() !== undefined) {
    return false;
  }
  const go = findGo();
  const without = (reason) => {
    console.log(`restic ${RESTIC_VERSION} is left out: ${reason}`);
    return false;
  };
  if (go === undefined) {
    return without('there is no Go to build it with. With Go, the same command builds it.');
  }
  return withLock('restic', async () => {
    if (findRestic() !== undefined) {
      return false;
    }
    console.log(`Building restic ${RESTIC_VERSION} (${MODULE}), once`);
    const started = performance.now();
    try {
      await goInstall(go, MODULE, cached());
    } catch (error) {
      if (!(error instanceof SetupError) || error.exitCode > 128) {
        throw error;
      }
      return without(error.message);
    }
    console.log(`restic ${RESTIC_VERSION} ready (${seconds(started)})`);
    return true;
  });
}
